"""The rows of one view side by side, column by column: a thousand of them are taken in a few strides of numpy.

What is scored together is wanted as a block of numbers, and to collect that from a thousand rows one by one is to fetch
five thousand objects from memory: 0.3 us a row where these columns take 0.05. So the numbers of a row that a cache
keeps are here and nowhere else, and the row knows its place.

A place is given to another row in time. Before that, whoever still holds the row that goes is given what it needs: the
row its numbers, and all rows that were found together (`FoundRows`) a list of what they were. Another thread that is
about to use either looks once more when it has read: what was given up meanwhile it takes from there.
"""

import mmap
import sys
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Final
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from features.found_rows import ASK, Block, FoundRows
from features.second_chance import Places
from features.values import FeatureRow, Retrieved, RowLayout, Source

_FLOAT: Final = 8
_NO_RESERVE: Final = 0x4000 if sys.platform == "linux" else 0
"""Linux' MAP_NORESERVE: a small machine may promise more rows than it could hold. Source: asm-generic/mman.h."""

_LAZY: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
_MOST_SETS: Final = 4_096
"""Sets of nulls that are given a number; real data have a few dozen."""

_NEVER: Final = 0.0
"""Until when a row is fresh where there is none, or never was: the monotonic clock is past that."""


class NullSets:
    """Numbers for the sets of nulls that rows of one view have; 0 is no null at all.

    Attributes:
        sets: For each number, its set: bit i is set where column i is null.
    """

    __slots__ = ("_numbers", "sets")

    def __init__(self) -> None:
        self.sets = [0, 0]
        self._numbers = {0: 0}

    def number(self, nulls: int) -> int:
        """The number of a set, `ASK` if there are too many."""
        number = self._numbers.get(nulls, ASK)
        if number == ASK and len(self.sets) < _MOST_SETS:
            number = self._numbers[nulls] = len(self.sets)
            self.sets.append(nulls)
        return number


class CachedRow(Retrieved):
    """A row, or the knowledge that there is none, as one read found it; what a request gets while it is fresh."""

    __slots__ = ()

    def __init__(self, row: FeatureRow | None, read_at: float, ttl_s: float) -> None:
        super().__init__(row, Source.CACHE, read_at, fresh_until=read_at + ttl_s)


class Columns:
    """Rows of one view, and their values by the places of the rows.

    Attributes:
        rows: What is known at each place; None where nothing is.
    """

    __slots__ = (
        "_bytes",
        "_found",
        "_fresh_until",
        "_layout",
        "_marks",
        "_most",
        "_nulls",
        "_numbers",
        "_sets",
        "_texts",
        "_width",
        "rows",
    )

    def __init__(self, layout: RowLayout, most: int) -> None:
        """Has room for rows at places below `most`; most of the memory is taken when the places are.

        Args:
            layout: The view's columns.
            most: How many places there are.

        Raises:
            OSError: The system does not even promise so much memory.
        """
        self._layout = layout
        self._most = most
        self._width = _FLOAT * len(layout.numeric)
        # nothing else gives its bytes away as fast, and pages that no row has reached take no memory
        self._bytes = mmap.mmap(-1, max(1, most * self._width), flags=_LAZY)
        n_numbers = most * len(layout.numeric)
        self._numbers = np.frombuffer(self._bytes, count=n_numbers).reshape(most, len(layout.numeric))
        self._fresh_until = np.zeros(most)
        self._nulls = np.zeros(most, dtype=np.uint16)
        self._sets = NullSets()
        self._marks = np.zeros(most, dtype=np.int32)
        self._texts = np.empty((0, len(layout.texts)), dtype=object)
        self.rows: list[CachedRow | None] = []
        self._found: WeakSet[FoundRows] = WeakSet()

    def put(self, place: int, one: CachedRow, row: FeatureRow) -> None:
        """Keeps what is known of a row, and its values, at a place that whoever was there has left.

        Args:
            place: The place.
            one: What is to be known there; it is given the row that keeps its numbers here.
            row: Its row.
        """
        lodged = FeatureRow(self, row.exact, row.nulls, row.event_time, row.event_times, place)
        start = place * self._width
        self._bytes[start : start + self._width] = row.numbers
        if self._layout.texts:
            self._texts[place] = self._layout.texts_of(row)
        self._nulls[place] = self._sets.number(row.nulls)
        one.row = lodged
        self.rows[place] = one
        self._fresh_until[place] = one.fresh_until  # last: from now on it is found

    def leave(self, place: int) -> bool:
        """Forgets what is kept at a place, and whether that was anything; whoever holds its row has all of it now."""
        one = self.rows[place]
        if one is None:
            return False
        if self._found:
            for found in list(self._found):
                found.keep()
            self._found.clear()
        if one.row is not None:
            one.row.packed = one.row.numbers
        self.rows[place] = None
        self._fresh_until[place] = _NEVER
        return True

    def fresh(self, places: Places, now: float) -> NDArray[np.bool_]:
        """At which of these places, of which -1 is none, there is a row that is fresh, `(n_places,)`."""
        return (self._fresh_until.take(places, mode="wrap") > now) & (places >= 0)

    def find(self, places: Places, absent: Mapping[int, Retrieved]) -> FoundRows:
        """The rows at these places.

        Args:
            places: Where they are, at least one of them; anywhere for an absent one.
            absent: What is known of keys that have no row, by position.
        """
        there, nowhere = places, list(absent)
        if nowhere:
            there = np.delete(places, nowhere)
            places = places.copy()  # other views have rows there
            places[nowhere] = there[0]
        nulls = self._nulls.take(places)
        nulls[nowhere] = ASK
        distinct = self._count_distinct(there)
        found = FoundRows(places, self.rows, absent, self._take, nulls=nulls, sets=self._sets.sets, distinct=distinct)
        self._found.add(found)
        return found

    def packed(self, place: int, /) -> bytes:
        """The numbers of the row at a place."""
        start = place * self._width
        return self._bytes[start : start + self._width]

    def _take(self, places: Places) -> Block:
        return Block(self._numbers.take(places, axis=0), self._texts.take(places, axis=0))

    def _count_distinct(self, places: Places) -> int:
        """How many different places there are: as many as still hold the mark that was put there last."""
        marks = np.arange(len(places), dtype=np.int32)
        self._marks[places] = marks
        return int(np.count_nonzero(self._marks.take(places) == marks))

    def make_room(self, places: int) -> None:
        """Makes room for rows at so many places; texts have room for twice as many then, so they move but seldom."""
        self.rows.extend(repeat(None, places - len(self.rows)))
        if places > len(self._texts):
            grown = np.empty((min(self._most, 2 * places), len(self._layout.texts)), dtype=object)
            grown[: len(self._texts)] = self._texts
            self._texts = grown

    def numbers_at(self, places: Sequence[int]) -> NDArray[np.float64]:
        """The numbers of the rows at these places, `(n_places, n_numeric)`."""
        return self._numbers.take(places, axis=0)


def side_by_side(rows: Sequence[FeatureRow]) -> NDArray[np.float64] | None:
    """The numbers of rows, at least one, `(n_rows, n_numeric)`, if all are kept in the same columns; else None."""
    kept = rows[0].packed
    if not isinstance(kept, Columns) or [row.packed for row in rows].count(kept) < len(rows):
        return None
    numbers = kept.numbers_at([row.place for row in rows])
    # another thread may have put another row at one of the places
    return numbers if [row.packed for row in rows].count(kept) == len(rows) else None
