"""Where predictions go: to an output that is there as a whole or not at all, or to a stream, which takes what comes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from features.clock import Clock
from service.errors import JobStopped
from service.offline.formats import OutputFormat
from service.offline.outputs import BytesPart, Joined, PartFile, head_of, joined_file, part_file, placed, synced
from service.offline.parts import Parts
from service.offline.totals import Totals

PART_ROWS: Final = 131_072
"""Rows in a part: a second or less of work, and a Parquet row group of a good size."""

PART_BYTES: Final = 128 << 20
"""A part that is larger is finished with fewer rows, too: to be joined to a Parquet file it has to be in memory."""

PART_S: Final = 10.0
"""A part that takes longer, as where reads have a pace, is finished with fewer rows."""


class Sink(Protocol):
    """Takes what was made of chunks, in order.

    Attributes:
        placed: Whether the output is whole and where it belongs.
    """

    placed: bool

    def begin(self, schema: Any) -> None:
        """Is ready to take them.

        Args:
            schema: Arrow's, where the output is a table.
        """
        ...

    def write(self, encoded: Any, errors: bytes, totals: Totals) -> None:
        """Takes a chunk.

        Args:
            encoded: What the output says of it: bytes, or an Arrow table.
            errors: Lines of the error file.
            totals: What was done.
        """
        ...

    def finish(self) -> None:
        """The output is whole."""
        ...

    def close(self) -> None:
        """Nothing is open any more; what is not finished is no output."""
        ...


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an output goes.

    Attributes:
        path: The output.
        errors: The error file; None if there is none.
        file_format: What it is written in.
    """

    path: Path
    errors: Path | None
    file_format: OutputFormat


class PartsSink:
    """Writes parts, and joins them as they are finished; puts the output in place when it is whole."""

    __slots__ = (
        "_began_at",
        "_bytes",
        "_clock",
        "_destination",
        "_errors",
        "_joined",
        "_joined_errors",
        "_part",
        "_part_bytes",
        "_part_rows",
        "_parts",
        "_schema",
        "_totals",
        "placed",
    )

    def __init__(
        self,
        parts: Parts,
        destination: Destination,
        clock: Clock,
        part_rows: int = PART_ROWS,
        part_bytes: int = PART_BYTES,
    ) -> None:
        """Writes nothing yet.

        Args:
            parts: The job's parts, some of which may be finished.
            destination: Where the output goes in the end.
            clock: The time.
            part_rows: How many rows make a part.
            part_bytes: How many bytes make one, where that is fewer rows.
        """
        self._parts = parts
        self._destination = destination
        self._clock = clock
        self._part_rows = part_rows
        self._part_bytes = part_bytes
        self._schema: Any = None
        self._part: PartFile | None = None
        self._errors: BinaryIO | None = None
        self._joined: Joined | None = None
        self._joined_errors: BinaryIO | None = None
        self._totals = Totals()
        self._began_at = 0.0
        self._bytes = 0
        self.placed = False

    def begin(self, schema: Any) -> None:
        """See `Sink.begin`; parts that are finished are joined at once."""
        self._schema = schema
        with _writing(self._parts.directory):
            self._joined = joined_file(self._destination.file_format, self._joined_path, schema)
            self._joined_errors = self._errors_path.open("wb")
            for number in range(len(self._parts.finished)):
                self._join(number)

    def write(self, encoded: Any, errors: bytes, totals: Totals) -> None:
        """See `Sink.write`."""
        with _writing(self._parts.directory):
            if self._part is None:
                self._open_part()
            assert self._part is not None  # noqa: S101  # opened above; for the type checker
            assert self._errors is not None  # noqa: S101  # same
            self._part.write(encoded)
            self._errors.write(errors)
            self._totals.add(totals)
            self._bytes += len(errors) + (len(encoded) if isinstance(encoded, bytes) else encoded.nbytes)
            if self._full:
                self._finish_part()

    def finish(self) -> None:
        """See `Sink.finish`."""
        with _writing(self._destination.path):
            if self._part is not None:
                self._finish_part()
            self._close_joined()
            failed = self._errors_path.stat().st_size > 0
            synced(self._joined_path)
            synced(self._errors_path)
            self._parts.finish_all()
            if self._destination.errors is not None:
                if failed:
                    placed(self._errors_path, self._destination.errors)
                else:  # an older job's would speak of an output that is gone
                    self._destination.errors.unlink(missing_ok=True)
            self._joined_path.replace(self._destination.path)
            synced(self._destination.path.parent)
            self.placed = True
            self._parts.clear()

    def close(self) -> None:
        """See `Sink.close`."""
        for one in (self._part, self._errors):
            with suppress(OSError):
                if one is not None:
                    one.close()
        with suppress(OSError):
            self._close_joined()

    @property
    def _full(self) -> bool:
        large = self._totals.rows >= self._part_rows or self._bytes >= self._part_bytes
        return large or self._clock.monotonic() - self._began_at >= PART_S

    @property
    def _joined_path(self) -> Path:
        return self._parts.directory / "joined"

    @property
    def _errors_path(self) -> Path:
        return self._parts.directory / "joined.errors"

    def _paths(self, number: int) -> tuple[Path, Path]:
        suffix = "arrow" if self._destination.file_format is OutputFormat.PARQUET else self._destination.file_format
        return self._parts.part(number, suffix), self._parts.part(number, "errors")

    def _open_part(self) -> None:
        path, errors = self._paths(len(self._parts.finished))
        self._part = part_file(self._destination.file_format, path, self._schema)
        self._errors = errors.open("wb")
        self._totals = Totals()
        self._bytes = 0
        self._began_at = self._clock.monotonic()

    def _finish_part(self) -> None:
        assert self._part is not None  # noqa: S101  # the callers have seen to it; for the type checker
        assert self._errors is not None  # noqa: S101  # same
        self._part.close()
        self._errors.close()
        self._part = self._errors = None
        number = len(self._parts.finished)
        self._parts.finish(number, self._totals, self._paths(number))
        self._join(number)

    def _join(self, number: int) -> None:
        assert self._joined is not None  # noqa: S101  # `begin` has opened both; for the type checker
        assert self._joined_errors is not None  # noqa: S101  # same
        path, errors = self._paths(number)
        self._joined.append(path)
        self._joined_errors.write(errors.read_bytes())

    def _close_joined(self) -> None:
        joined, errors = self._joined, self._joined_errors
        self._joined = self._joined_errors = None
        if joined is not None:
            joined.close()
        if errors is not None:
            errors.close()


class StreamSink:
    """Writes to a pipe, a terminal or a device, chunk by chunk; nothing of it can be taken back or resumed."""

    __slots__ = ("_destination", "_errors", "_file", "_part", "placed")

    def __init__(self, file: BinaryIO, destination: Destination) -> None:
        """Takes a stream over.

        Args:
            file: The stream.
            destination: What it is called, and where errors go.
        """
        self._file = file
        self._destination = destination
        self._part = BytesPart(file)
        self._errors: BinaryIO | None = None
        self.placed = False

    def begin(self, schema: Any) -> None:
        """See `Sink.begin`."""
        with _writing(self._destination.path):
            if self._destination.errors is not None:
                self._errors = self._destination.errors.open("wb")
            self._file.write(head_of(self._destination.file_format, schema))

    def write(self, encoded: Any, errors: bytes, totals: Totals) -> None:  # noqa: ARG002  # nothing is resumed
        """See `Sink.write`."""
        with _writing(self._destination.path):
            self._part.write(encoded)
            self._file.flush()
            if self._errors is not None:
                self._errors.write(errors)

    def finish(self) -> None:
        """See `Sink.finish`."""
        with _writing(self._destination.path):
            self._file.flush()
        self.close()
        self.placed = True

    def close(self) -> None:
        """See `Sink.close`."""
        with suppress(OSError):
            if self._errors is not None:
                self._errors.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = "stdout" if path == Path("-") else path
        raise JobStopped(f"{name} cannot be written: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error).partition("\n")[0]
