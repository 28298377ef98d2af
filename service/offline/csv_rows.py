"""CSV: a header, then cells that are text; what a cell spells is settled by the spec, not guessed."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from features.column_types import CellRefused, text_values
from features.csv_records import Records, RecordsBroken, Taken
from features.spec import Spec
from features.values import FLOAT32_MAX, DType
from service.errors import RowUnreadable, TableError
from service.offline.chunks import CHUNK_ROWS, Chunk, Reading
from service.offline.sent import ARROW, SentCells
from service.offline.streams import Wake, opened
from service.offline.table_inputs import TableInput
from service.tables import checked_names

_DIGITS: Final = re.compile(r"[0-9.eE+,-]*", re.ASCII).fullmatch
"""Of these, Python's `float` takes just what `text_values` takes for a number."""


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
        try:
            with opened(self._path, self._wake) as (file, share):
                records = Records(file, self.name)
                header = checked_names(records.header(), Path(self.name))
                self._check_names(header)
                yield header
                while skip and (passed := records.take(min(skip, self._chunk_rows))):
                    skip -= len(passed.records)
                while taken := records.take(self._chunk_rows):
                    yield self._chunk(header, taken, share())
        except RecordsBroken as error:
            raise TableError(str(error)) from error

    def _chunk(self, header: Sequence[str], taken: Taken, share: float | None) -> Chunk:
        columns = dict(zip(header, zip(*taken.records, strict=True), strict=True))
        values: dict[str, Sequence[Any]] = dict(columns)
        values.update({name: _spelt(columns[name], dtype) for name, dtype in self._spelt.items()})
        request = self._request(len(taken.records))
        self._understand(request, self._wanted(values, taken.unreadable))
        request.failures.update({at: RowUnreadable(why) for at, why in taken.unreadable.items()})
        sent = SentCells(columns if self._verbatim else values, self._types(header))
        return Chunk(request, taken.lines, sent, share)

    def _wanted(self, values: Mapping[str, Sequence[Any]], unreadable: Collection[int]) -> list[Sequence[Any]]:
        """The columns that make instances; rows that are none have no key, so that nothing is made of them."""
        first, *others = [values[name] for name in self._spec.input_names]
        keys = [None if at in unreadable else key for at, key in enumerate(first)] if unreadable else first
        return [keys, *others]

    def _types(self, header: Sequence[str]) -> dict[str, Any]:
        dtypes = {} if self._verbatim else self._spelt
        return {name: ARROW[dtypes.get(name, DType.STRING)] for name in header}


def _spelt(cells: Sequence[str], dtype: DType) -> Sequence[Any]:
    """What the cells of a column of numbers or bools spell; the text itself where it spells none, to be refused."""
    if dtype is DType.FLOAT and _DIGITS(",".join(cells)):
        try:
            numbers = list(map(float, cells))
        except ValueError:
            numbers = []
        if numbers and max(map(abs, numbers)) <= FLOAT32_MAX:
            return numbers
    try:
        return text_values(cells, dtype, declared=True)
    except CellRefused:
        return [_one_spelt(cell, dtype) for cell in cells]


def _one_spelt(cell: str, dtype: DType) -> Any:
    try:
        return text_values([cell], dtype, declared=True)[0]
    except CellRefused:
        return cell
