"""Feature rows in memory. Keeps and forgets; decides nothing.

One LRU of rows and one of "there is no such row" for each view, so that a scan over unknown IDs cannot push known
rows out. Rows do not leave because they are old: a stale row is what an outage is survived with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from cachetools import LRUCache

from features.spec import FeatureView
from features.values import EntityKey, FeatureRow

JITTER: Final = 0.1
"""Largest share by which a TTL is shortened at random, so that rows read together do not expire together."""


@dataclass(frozen=True, slots=True)
class CachedRow:
    """A row, or the knowledge that there is none, as one read found it.

    Attributes:
        row: The row; None when the store had none.
        read_at: When the read began, on the monotonic clock: the row cannot be older than that.
        ttl_s: For how long it is fresh, jitter included.
    """

    row: FeatureRow | None
    read_at: float
    ttl_s: float


class ViewCache:
    """What is remembered of one view."""

    __slots__ = ("_absent", "_jitter", "_negative_ttl_s", "_rows", "_ttl_s")

    def __init__(self, view: FeatureView, max_rows: int, jitter: Callable[[], float] | None = None) -> None:
        """Remembers at most `max_rows` rows and as many absences.

        Args:
            view: The view; its cache policy gives the TTLs.
            max_rows: How many rows, at least 1.
            jitter: Gives numbers in [0, 1); random by default.
        """
        self._rows: LRUCache[EntityKey, CachedRow] = LRUCache(max_rows)
        self._absent: LRUCache[EntityKey, CachedRow] = LRUCache(max_rows)
        self._ttl_s = view.cache.ttl_s
        self._negative_ttl_s = view.cache.negative_ttl_s
        self._jitter = jitter or Random().random  # noqa: S311  # spreads load, guards nothing

    def __repr__(self) -> str:
        return f"<ViewCache {len(self._rows)}/{int(self._rows.maxsize)} rows, {len(self._absent)} known absent>"

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: EntityKey) -> CachedRow | None:
        """What is remembered of `key`, however old; None if nothing is."""
        try:  # two thirds of the time of `get`, which looks twice
            return self._rows[key]
        except KeyError:
            return self._absent.get(key)

    def put(self, key: EntityKey, row: FeatureRow | None, read_at: float) -> CachedRow:
        """Remembers what a read that began at `read_at` found, unless a later read is remembered already.

        Returns:
            What is remembered now.
        """
        known = self.get(key)
        if known is not None and known.read_at > read_at:
            return known
        shortened = 1.0 - JITTER * self._jitter()
        if row is None:
            self._rows.pop(key, None)
            found = self._absent[key] = CachedRow(None, read_at, self._negative_ttl_s * shortened)
        else:
            self._absent.pop(key, None)
            found = self._rows[key] = CachedRow(row, read_at, self._ttl_s * shortened)
        return found
