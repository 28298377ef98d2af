"""What every entity's features are, and were: the truth that answers are held to."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from load_tests.bundles import PLAIN_FEATURES, PLAIN_VIEW, Served, plain_columns, plain_key, plain_values
from load_tests.stored_rows import Row, read_rows, view_names, write_row

FindRow = Callable[[str, str], Row | None]
"""View and key to the entity's values; None if it has none."""


@dataclass(slots=True)
class _Version:
    """Values, and when a reader may have found them: from the beginning of their write to the end of the next one."""

    row: Row | None
    since: float = -math.inf
    until: float = math.inf


class Truth:
    """Rows, and how they changed during the run."""

    def __init__(self, find: FindRow, store: Path, now: Callable[[], float] = time.monotonic) -> None:
        """Knows what `find` says until something is changed.

        Args:
            find: The rows at the beginning.
            store: The file that changes are written to.
            now: The time, in seconds.
        """
        self._find = find
        self._store = store
        self._now = now
        self._changed: dict[tuple[str, str], list[_Version]] = {}

    @classmethod
    def of(cls, served: Served) -> "Truth":
        """The truth about what is served."""
        find = plain_rows(served.entities, served.features) if served.entities else stored_rows(served.store)
        return cls(find, served.store)

    def now(self) -> float:
        """The time by which changes are known."""
        return self._now()

    def current(self, view: str, key: str) -> Row | None:
        """An entity's values as they are now."""
        versions = self._changed.get((view, key))
        return versions[-1].row if versions else self._find(view, key)

    def unchanged(self, view: str, key: str) -> bool:
        """Whether the values are those of the beginning."""
        return (view, key) not in self._changed

    def during(self, view: str, key: str, since: float, until: float) -> list[Row | None]:
        """Every version that a read within this span may have found."""
        versions = self._changed.get((view, key))
        if versions is None:
            return [self._find(view, key)]
        return [version.row for version in versions if version.since <= until and version.until >= since]

    def change(self, view: str, key: str, values: Row) -> None:
        """Writes an entity's new values to the store."""
        with self._changing(view, key, values):
            write_row(self._store, view, key, values)

    def change_unnoticed(self, view: str, key: str, values: Row) -> None:
        """Writes new values and forgets to learn them: a control, which answers must fail."""
        write_row(self._store, view, key, values)

    @contextmanager
    def _changing(self, view: str, key: str, values: Row) -> Iterator[None]:
        versions = self._changed.setdefault((view, key), [_Version(self._find(view, key))])
        last = versions[-1]
        versions.append(_Version(dict(values), since=self._now()))
        yield
        last.until = self._now()


def plain_rows(entities: int, features: int = PLAIN_FEATURES) -> FindRow:
    """Rows of the plain bundle."""
    prefix: Final = plain_key(0)[0]

    def find(view: str, key: str) -> Row | None:
        digits = key.removeprefix(prefix)
        if view != PLAIN_VIEW or not digits.isdecimal() or plain_key(int(digits)) != key or int(digits) >= entities:
            return None
        return plain_row(int(digits), features)

    return find


def plain_row(number: int, features: int = PLAIN_FEATURES) -> Row:
    """The values of one entity of the plain bundle."""
    values: list[float] = plain_values(np.array([number]), features)[0].tolist()
    return dict(zip(plain_columns(features), values, strict=True))


def stored_rows(store: Path) -> FindRow:
    """Rows of a store's file as they are now; read once."""
    known = {view: read_rows(store, view) for view in view_names(store)}
    return lambda view, key: known[view].get(key)
