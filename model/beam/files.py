"""The files of an input: found, cut into stretches that workers read on their own, and opened.

Beam's own reader of lines says of a line neither its file nor its place, and takes a gzip file that was cut short for a
whole one.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, NamedTuple, cast

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

DAMAGED: Final = (EOFError, gzip.BadGzipFile, zlib.error)
"""What a gzip file raises that is cut short or damaged; what was read before is as it was written."""

STRETCH_BYTES: Final = 64 << 20
"""So much of a file one worker reads: seconds of work, so that none is waited for at the end."""

_BUFFER_BYTES: Final = 1 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"


class Stretch(NamedTuple):
    """A part of a file.

    Attributes:
        path: The file's address.
        start: Offset of its first byte.
        stop: Offset of the byte behind its last; None for the file's end.
    """

    path: str
    start: int = 0
    stop: int | None = None


class FindStretches(beam.PTransform):
    """The stretches of all files that an address stands for, spread over the workers."""

    def __init__(self, address: str, *, whole: bool, stretch_bytes: int = STRETCH_BYTES) -> None:
        """Looks for nothing yet.

        Args:
            address: A file or a pattern of files, local or `gs://`.
            whole: Whether every file is one stretch; one whose name ends in `.gz` is in any case.
            stretch_bytes: How long a stretch is.
        """
        super().__init__()
        self._address = address
        self._whole = whole
        self._stretch_bytes = stretch_bytes

    def expand(self, begin: Any) -> Any:
        """See `PTransform.expand`.

        Raises:
            OSError: There is no such file.
        """
        # Beam's own sources ask where the pipeline is made; matching files as it runs may find none unnoticed
        if not any(match.metadata_list for match in FileSystems.match([self._address], limits=[1])):
            raise OSError(f"No files found based on the file pattern {self._address}")
        found = begin | "Match" >> fileio.MatchFiles(self._address)
        parts = found | "Cut" >> beam.FlatMap(stretches, whole=self._whole, stretch_bytes=self._stretch_bytes)
        return parts | "Spread" >> beam.Reshuffle()


def stretches(file: Any, *, whole: bool, stretch_bytes: int) -> Iterator[Stretch]:
    """The stretches of a file that was matched; see `FindStretches`."""
    if file.path.endswith("/"):  # what stands for a folder in a bucket
        return
    if whole or file.path.lower().endswith(".gz"):
        yield Stretch(file.path)
        return
    for start in range(0, file.size_in_bytes, stretch_bytes):
        yield Stretch(file.path, start, start + stretch_bytes)


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """The bytes of a file; unzipped if its name ends in `.gz`, unless a bucket has done so on the way.

    Reading on raises one of `DAMAGED` where gzip finds that something is missing or wrong.
    """
    # of Beam's own ways to unzip, none notices that the end is missing
    with (
        FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as raw,
        io.BufferedReader(cast(Any, raw), _BUFFER_BYTES) as file,  # a bucket's reader would give lines byte by byte
    ):
        if path.lower().endswith(".gz") and file.peek(len(_GZIP_MAGIC))[: len(_GZIP_MAGIC)] == _GZIP_MAGIC:
            with gzip.open(file) as unzipped:
                yield cast(BinaryIO, unzipped)
        else:
            yield cast(BinaryIO, file)


def lines_within(file: BinaryIO, stretch: Stretch) -> Iterator[tuple[int, bytes]]:
    """The lines that begin within a stretch, each behind the offset of its first byte."""
    at = stretch.start
    if at:
        file.seek(at - 1)
        at += len(file.readline()) - 1  # the rest of a line that begins before; one byte if none does
    while stretch.stop is None or at < stretch.stop:
        line = file.readline()
        if not line:
            return
        yield at, line
        at += len(line)
