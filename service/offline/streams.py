"""The bytes of an input, unzipped: a file's, or stdin's."""

import gzip
import io
import os
import selectors
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from service.errors import TableError
from service.offline.formats import STREAM

_GZIP_MAGIC: Final = b"\x1f\x8b"
_BUFFER_BYTES: Final = 1 << 20

Share = Callable[[], float | None]
"""How much of an input has been read by now, from 0 to 1; None where its length is not known."""


class Wake:
    """Ends a read of a pipe that nobody waits for any more: a thread that is left in one would hold up the exit."""

    def __init__(self) -> None:
        """Has not been called yet."""
        self._reader, self._writer = os.pipe()

    def call(self) -> None:
        """From here on reads come to an end."""
        os.write(self._writer, b"!")

    def wait(self, fileno: int) -> bool:
        """Waits until there is something to read; False when it was called."""
        with selectors.SelectSelector() as selector:  # the one kind that takes plain files, too
            selector.register(fileno, selectors.EVENT_READ)
            selector.register(self._reader, selectors.EVENT_READ)
            return all(key.fd != self._reader for key, _ in selector.select())

    def close(self) -> None:
        """Lets go of the pipe."""
        os.close(self._reader)
        os.close(self._writer)


class _Piped(io.FileIO):
    """stdin or a named pipe, until it ends or nobody waits for it."""

    def __init__(self, file: Path | int, wake: Wake) -> None:
        super().__init__(file, closefd=not isinstance(file, int))
        self._wake = wake

    def readinto(self, buffer: Any) -> int | None:
        return super().readinto(buffer) if self._wake.wait(self.fileno()) else 0


@contextmanager
def opened(path: Path, wake: Wake) -> Iterator[tuple[BinaryIO, Share]]:
    """The bytes of an input, unzipped where its first bytes say that it is gzip, and how far it has been read.

    Raises:
        TableError: It is out of reach, empty, or its compression is cut short or damaged; also while it is read.
    """
    try:
        with _raw(path, wake) as file:
            magic = file.peek(len(_GZIP_MAGIC))[: len(_GZIP_MAGIC)]
            if not magic:
                raise TableError(f"{named(path)} is empty")
            share = _share_of(path, file)
            if magic != _GZIP_MAGIC:
                yield cast(BinaryIO, file), share
                return
            with gzip.open(file) as unzipped, io.BufferedReader(cast(Any, unzipped), _BUFFER_BYTES) as buffered:
                yield cast(BinaryIO, buffered), share
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TableError(f"{named(path)}: the gzip file is cut short or damaged ({error}); copy it again") from error
    except OSError as error:
        raise TableError(f"{named(path)} cannot be read: {error.strerror or error}") from error


def named(path: Path) -> str:
    """What a message calls an input."""
    return "stdin" if path == STREAM else str(path)


def _raw(path: Path, wake: Wake) -> io.BufferedReader:
    if path == STREAM:
        raw: io.FileIO = _Piped(sys.stdin.fileno(), wake)
    else:
        raw = io.FileIO(path) if path.is_file() else _Piped(path, wake)
    return io.BufferedReader(raw, _BUFFER_BYTES)


def _share_of(path: Path, file: io.BufferedReader) -> Share:
    size = 0 if path == STREAM else os.fstat(file.fileno()).st_size
    if not size:
        return lambda: None
    raw = file.raw  # its position, not the buffer's: another thread may ask, and a step of 1 MiB does not matter
    return lambda: min(1.0, raw.tell() / size)
