"""Rows of one view that were found together, as columns for as long as they stay where they are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast, final, overload

import numpy as np
from numpy.typing import NDArray

from features.second_chance import Places
from features.values import Retrieved

ASK: Final = 1
"""Stands for a set of nulls that has no number: the row itself has to be asked."""


class Block(NamedTuple):
    """Rows as columns.

    Attributes:
        numbers: float64, `(n_rows, n_numeric)`, in the layout's order; NaN for null, and where there is no row.
        texts: `(n_rows, n_texts)`, in the layout's order; None for null, and where there is no row.
    """

    numbers: NDArray[np.float64]
    texts: NDArray[np.object_]


@final
class FoundRows(Sequence[Retrieved]):
    """The rows of one view that were found together; those of a key that has none are known to be absent.

    To tell them from a list, ask for the `type`: `isinstance` of an abstract class takes 0.2 us.

    Attributes:
        absent: What is known of the keys that have no row, by position.
        nulls: uint16, `(n_rows,)`, which set of nulls each row has (`NullSets`); `ASK` for an absent one.
        distinct: How many different rows they are, absent ones not counted.
    """

    __slots__ = (
        "__weakref__",
        "_block",
        "_counts",
        "_kept",
        "_places",
        "_rows",
        "_sets",
        "absent",
        "distinct",
        "nulls",
    )

    def __init__(
        self,
        places: Places,
        rows: Sequence[Retrieved | None],
        absent: Mapping[int, Retrieved],
        block: Callable[[Places], Block],
        *,
        nulls: NDArray[np.uint16],
        sets: Sequence[int],
        distinct: int,
    ) -> None:
        """Made by `Columns.find`.

        Args:
            places: Where the rows are; at that of any of them for an absent one.
            rows: What is known at each place.
            absent: See the attributes.
            block: Takes the values at places.
            nulls: See the attributes.
            sets: What each of these numbers stands for.
            distinct: See the attributes.
        """
        self._places = places
        self._rows = rows
        self.absent = absent
        self._block = block
        self._kept: Sequence[Retrieved] | None = None
        self._sets = sets
        self._counts = np.bincount(nulls, minlength=ASK + 1)
        self.nulls = nulls
        self.distinct = distinct

    def __repr__(self) -> str:
        return f"<FoundRows {len(self)} rows, {len(self.absent)} absent>"

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Retrieved: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Retrieved]: ...
    def __getitem__(self, at: int | slice) -> Retrieved | Sequence[Retrieved]:
        if self._kept is None:
            found = self._some(at) if isinstance(at, slice) else self._one(range(len(self))[at])
            if self._kept is None:  # else another thread has put another row there
                return cast("Retrieved | Sequence[Retrieved]", found)
        return self._kept[at]

    @property
    def odd(self) -> list[int]:
        """Positions of the rows that are not plain (`Retrieved.plain`)."""
        return np.flatnonzero(self.nulls).tolist()

    @property
    def unlike(self) -> list[int]:
        """Positions of the rows that have to be asked themselves what is odd about them."""
        return self.having(ASK) if self._counts[ASK] else []

    def null_sets(self) -> list[tuple[int, int, int]]:
        """The sets of nulls that rows have: number, bit i set where column i is null, and how many rows have it."""
        present = np.flatnonzero(self._counts).tolist()
        return [(number, self._sets[number], int(self._counts[number])) for number in present if number > ASK]

    def having(self, number: int) -> list[int]:
        """Positions of the rows that have this set of nulls."""
        return np.flatnonzero(self.nulls == number).tolist()

    def __iter__(self) -> Iterator[Retrieved]:
        return iter(self[:])

    def block(self) -> Block | None:
        """All rows as columns; None once one of them has given its place up: then they are to be had one by one."""
        if self._kept is not None:
            return None
        block = self._block(self._places)
        if self.absent:
            nowhere = list(self.absent)
            block.numbers[nowhere] = np.nan
            block.texts[nowhere] = None
        return block if self._kept is None else None  # another thread may have put another row there

    def keep(self) -> None:
        """Holds on to the rows themselves; called before another row is put where one of them is."""
        if self._kept is None:
            self._kept = self[:]

    def _one(self, at: int) -> Retrieved | None:
        return self.absent.get(at) or self._rows[self._places[at]]

    def _some(self, which: slice) -> list[Retrieved | None]:
        rows = list(map(self._rows.__getitem__, self._places[which].tolist()))
        positions = range(len(self))[which]
        for at, one in self.absent.items():
            if at in positions:
                rows[positions.index(at)] = one
        return rows
