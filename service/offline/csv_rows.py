"""CSV: a header, then cells that are text; what a cell spells is settled by the spec, not guessed."""

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, NamedTuple

from features.column_types import CellRefused, text_values
from features.spec import Spec
from features.values import DType, encodable
from service.errors import RowUnreadable, TableError
from service.offline.chunks import CHUNK_BYTES, CHUNK_ROWS, Chunk, Reading
from service.offline.sent import ARROW, SentCells
from service.offline.streams import Share, Wake, opened
from service.offline.table_inputs import TableInput
from service.tables import checked_names, csv_problem

_NOTHING_BEHIND: Final = ("unexpected end of data", "field larger than field limit")
"""What Python's reader says where no later row can be told from this one: a quote was never closed."""


class _Record(NamedTuple):
    """One row.

    Attributes:
        line: The line that it begins on.
        cells: As many as the header has.
        unreadable: Why these are not what the row holds, if they are not.
    """

    line: int
    cells: list[str]
    unreadable: str | None = None


class CsvRows(TableInput):
    """Comma-separated text in UTF-8 with a header."""

    unit: ClassVar[str] = "line"

    def __init__(
        self, path: Path, spec: Spec, *, extra: bool, wake: Wake, verbatim: bool, chunk_rows: int = CHUNK_ROWS
    ) -> None:
        """Names an input.

        Args:
            path: The file, or stdin.
            spec: What instances hold.
            extra: Whether undeclared columns are let through.
            wake: Ends a read of stdin.
            verbatim: Whether every cell is handed on as the text that it is, for an output in CSV; else numbers and
                bools are handed on as what they spell.
            chunk_rows: How many rows make a chunk.
        """
        super().__init__(path, spec, extra=extra, chunk_rows=chunk_rows)
        self._wake = wake
        self._spelt = {one.name: one.dtype for one in spec.fields if one.dtype is not DType.STRING}
        self._verbatim = verbatim

    def read(self, skip: int = 0) -> Reading:
        """See `Source.read`."""
        walk = self._walk(skip)
        header: list[str] = next(walk)
        return Reading(self._types(header), walk)

    def _walk(self, skip: int) -> Iterator[Any]:
        """The header, then the chunks: stdin can be walked only once."""
        with opened(self._path, self._wake) as (file, share):
            lines = csv.reader(_text(file), strict=True)
            try:
                header = checked_names(next(lines, []), self._path)
            except csv.Error as error:
                raise TableError(f"{self.name}: line {lines.line_num}: {csv_problem(error)}") from error
            self._check_names(header)
            yield header
            found = self._records(lines, len(header))
            for _ in range(skip):
                next(found)
            while records := _some(found, self._chunk_rows):
                yield self._chunk(header, records, share)

    def _records(self, lines: Any, width: int) -> Iterator[_Record]:
        while True:
            above = lines.line_num
            try:
                cells = next(lines, None)
            except csv.Error as error:
                why = csv_problem(error)
                if any(words in str(error) for words in _NOTHING_BEHIND):
                    raise TableError(f"{self.name}: line {above + 1}: {why}") from error
                yield _Record(above + 1, [""] * width, why)
                continue
            if cells is None:
                return
            if len(cells) == width:
                yield _Record(above + 1, cells)
            elif cells:  # else it is a blank line
                why = f"has {len(cells)} cells, the header has {width}"
                yield _Record(above + 1, (cells + [""] * width)[:width], why)

    def _chunk(self, header: Sequence[str], records: list[_Record], share: Share) -> Chunk:
        unreadable = {at: one.unreadable for at, one in enumerate(records) if one.unreadable is not None}
        for at in _not_utf8(records):
            unreadable[at] = "is not UTF-8 text; save the file as UTF-8"
            records[at] = records[at]._replace(cells=[_shown(cell) for cell in records[at].cells])
        columns = dict(zip(header, zip(*(one.cells for one in records), strict=True), strict=True))
        values: dict[str, Sequence[Any]] = dict(columns)
        values.update({name: _spelt(columns[name], dtype) for name, dtype in self._spelt.items()})
        request = self._request(len(records))
        self._understand(request, self._wanted(values, unreadable))
        request.failures.update({at: RowUnreadable(why) for at, why in unreadable.items()})
        sent = SentCells(columns, self._types(header)) if self._verbatim else SentCells(values, self._types(header))
        return Chunk(request, [one.line for one in records], sent, share())

    def _wanted(self, values: Mapping[str, Sequence[Any]], unreadable: Collection[int]) -> list[Sequence[Any]]:
        """The columns that make instances; rows that are none have no key, so that nothing is made of them."""
        first, *others = [values[name] for name in self._spec.input_names]
        keys = [None if at in unreadable else key for at, key in enumerate(first)] if unreadable else first
        return [keys, *others]

    def _types(self, header: Sequence[str]) -> dict[str, Any]:
        dtypes = {} if self._verbatim else self._spelt
        return {name: ARROW[dtypes.get(name, DType.STRING)] for name in header}


def _text(file: BinaryIO) -> io.TextIOWrapper:
    """Bytes that are not UTF-8 come as surrogates, so that only their row is lost."""
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _some(records: Iterator[_Record], most: int) -> list[_Record]:
    some = []
    room = CHUNK_BYTES
    for record in islice(records, most):
        some.append(record)
        room -= sum(map(len, record.cells))
        if room < 0:
            break
    return some


def _not_utf8(records: Sequence[_Record]) -> list[int]:
    together = "".join(cell for record in records for cell in record.cells)
    if encodable(together):
        return []
    return [at for at, record in enumerate(records) if not encodable("".join(record.cells))]


def _shown(cell: str) -> str:
    """Text in which a mark stands for every byte that is none."""
    return cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _spelt(cells: Sequence[str], dtype: DType) -> Sequence[Any]:
    """What the cells of a column of numbers or bools spell; the text itself where it spells none, to be refused."""
    try:
        return text_values(cells, dtype, declared=True)
    except CellRefused:
        return [_one_spelt(cell, dtype) for cell in cells]


def _one_spelt(cell: str, dtype: DType) -> Any:
    try:
        return text_values([cell], dtype, declared=True)[0]
    except CellRefused:
        return cell
