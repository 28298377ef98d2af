"""What a reader hands on: some rows of the input, understood, with what was sent for each.

Source ──► Chunk(request, places, sent) ──► scoring ──► encoding ──► Sink
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from service.parsing import ParsedRequest

CHUNK_ROWS: Final = 32_768
"""Rows that are read, scored and written together: one read of the store for each view and for so many rows.

Measured on a million rows of the demo, 5,000 distinct rows of features in each chunk: 16,384 take 8 % more of the
processor and 50 MB less, 65,536 take 6 % less and 70 MB more."""

CHUNK_BYTES: Final = 16 << 20
"""So long a chunk may be before it is cut short: memory has to be bounded for long lines, too."""

CHUNK_CELLS: Final = 1 << 20
"""Cells of text that a chunk may hold before it is cut short: Python takes 51 bytes for two letters. A file of up to 32
columns has chunks of full length."""


class Sent(Protocol):
    """The rows of a chunk as they came."""

    def texts(self, at: Sequence[int] | None = None) -> list[bytes]:
        """Each row as a JSON value.

        Args:
            at: Positions of the rows that are wanted; all if not given.
        """
        ...

    def columns(self) -> Mapping[str, Any]:
        """Arrow arrays by column name, in order; what a table of predictions begins with."""
        ...


class Chunk(NamedTuple):
    """Some rows of an input, one after the other.

    Attributes:
        request: The instances that could be understood, and why the others could not, by position in the chunk.
        places: Line, row or record number of each row, from 1.
        sent: What came.
        share: How much of the input has been read by now, from 0 to 1; None where its length is not known.
    """

    request: ParsedRequest
    places: Sequence[int]
    sent: Sent
    share: float | None


class Source(Protocol):
    """An input.

    Attributes:
        unit: What a place is: `line`, `row` or `record`.
    """

    unit: ClassVar[str]

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def read(self, skip: int = 0) -> "Reading":
        """Begins to read.

        Args:
            skip: How many rows to pass over; chunks of an earlier walk may have ended elsewhere.

        Raises:
            TableError: The input cannot be read, or its columns are not what instances hold.
        """
        ...


class Reading(NamedTuple):
    """An input that is being read.

    Attributes:
        schema: Arrow types by name of the columns that `Sent.columns` gives.
        chunks: The rows; raises a TableError where the input cannot be read to its end.
    """

    schema: Mapping[str, Any]
    chunks: Iterator[Chunk]
