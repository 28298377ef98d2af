"""The records of a CSV file: cells as text, the line that each begins on, and what is wrong with it."""

import csv
import io
import re
from collections.abc import Sequence
from itertools import accumulate, islice
from typing import BinaryIO, Final, NamedTuple

from features.values import encodable

_AT_ONCE: Final = 1_024
_MOST_CHARACTERS: Final = 16 << 20
"""So much text may be taken together before `take` is cut short: memory has to be bounded for long cells, too."""

_MOST_CELLS: Final = 1 << 20
"""So many cells may be, too: Python takes 51 bytes for two letters. Of a file of 32 columns, 32,768 records fit."""

_BREAK: Final = re.compile(r"\r\n|\r|\n")
_NOTHING_BEHIND: Final = ("unexpected end of data", "field larger than field limit")
"""What Python's reader says where no later record can be told from this one: a quote was never closed."""

_NOT_UTF8: Final = "is not UTF-8 text; save the file as UTF-8"


class RecordsBroken(Exception):
    """A file holds no records from here on; the message names the file and the line."""


class Taken(NamedTuple):
    """Some records, one after the other.

    Attributes:
        lines: The line that each begins on.
        records: The cells of each, as many as the header has.
        unreadable: Why these are not what the record holds, by its position, if they are not.
    """

    lines: Sequence[int]
    records: list[list[str]]
    unreadable: dict[int, str]


class Records:
    """Reads records, many at a time."""

    __slots__ = ("_name", "_reader", "_width")

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Reads nothing yet.

        Args:
            file: The bytes. Those that are not UTF-8 become surrogates, so that only their record is lost.
            name: What to call the file in messages.
        """
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._reader = csv.reader(text, strict=True)
        self._name = name
        self._width = 0

    def header(self) -> list[str]:
        """The first record; every later one is to be as long.

        Raises:
            RecordsBroken: It is none.
        """
        try:
            names = next(self._reader, [])
        except csv.Error as error:
            raise RecordsBroken(f"{self._name}: line {self._reader.line_num}: {csv_problem(error)}") from error
        if not encodable("".join(names)):
            raise RecordsBroken(f"{self._name}: line 1: {_NOT_UTF8}")
        self._width = len(names)
        return names

    def take(self, most: int) -> Taken | None:
        """The next records, `most` of them or fewer; None behind the last.

        Raises:
            RecordsBroken: A quote is never closed, so that nobody knows where the next record begins.
        """
        while True:
            above = self._reader.line_num
            records, error = self._some(most)
            if not records and error is None:
                return None
            lines = self._lines(above, records, whole=error is None)
            unreadable = {}
            if error is not None:
                unreadable[len(records)] = csv_problem(error)
                if any(words in str(error) for words in _NOTHING_BEHIND):
                    raise RecordsBroken(f"{self._name}: line {lines[-1]}: {csv_problem(error)}") from error
                records.append([""] * self._width)
            taken = self._checked(Taken(lines, records, unreadable))
            if taken.records:  # else there were only blank lines
                return taken

    def _some(self, most: int) -> tuple[list[list[str]], csv.Error | None]:
        """Records up to the first that is none, and what is wrong with that."""
        records: list[list[str]] = []
        room = _MOST_CHARACTERS
        most = min(most, max(1, _MOST_CELLS // max(1, self._width)))
        try:
            while room > 0 and len(records) < most:
                before = len(records)
                records.extend(islice(self._reader, min(_AT_ONCE, most - before)))
                if len(records) == before:
                    break
                room -= sum(map(len, map("".join, records[before:])))
        except csv.Error as error:  # what came before it has been added
            return records, error
        return records, None

    def _lines(self, above: int, records: Sequence[Sequence[str]], *, whole: bool) -> Sequence[int]:
        """The line that each record begins on, and if they are not the `whole`, that of the one behind them."""
        if whole and self._reader.line_num - above == len(records):
            return range(above + 1, above + len(records) + 1)
        spans = [1 + sum(len(_BREAK.findall(cell)) for cell in record) for record in records]
        begins = list(accumulate(spans, initial=above + 1))
        return begins[:-1] if whole else begins

    def _checked(self, taken: Taken) -> Taken:
        """The same without blank lines, with every record as long as the header."""
        width, unreadable = self._width, taken.unreadable
        if set(map(len, taken.records)) != {width}:
            rows = enumerate(zip(taken.lines, taken.records, strict=True))
            kept = [(line, cells, unreadable.get(at)) for at, (line, cells) in rows if cells]
            unreadable = {at: why for at, (_, _, why) in enumerate(kept) if why is not None}
            for at, (_, cells, _) in enumerate(kept):
                if len(cells) != width:
                    unreadable[at] = f"has {len(cells)} cells, the header has {width}"
                    cells[:] = (cells + [""] * width)[:width]
            taken = Taken([line for line, _, _ in kept], [cells for _, cells, _ in kept], unreadable)
        if not encodable("".join(map("".join, taken.records))):
            for at, cells in enumerate(taken.records):
                if not encodable("".join(cells)):
                    unreadable[at] = _NOT_UTF8
                    cells[:] = [cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for cell in cells]
        return taken


def csv_problem(error: csv.Error) -> str:
    """What is wrong with a line of CSV, in words of ours."""
    text = str(error)
    if "unexpected end of data" in text:
        return "the file ends inside a quoted cell; it is cut short, or a quote is never closed"
    if "field limit" in text:
        return "a cell is longer than 131,072 characters; most likely a quote is never closed"
    return f"is not CSV ({text})"
