"""Look up, fetch what is missing in one batch per view, fall back.

cache ── fresh ───────────────────────────────► use it
      ── stale ── refresh in the background ──► use it
      ── miss ──► flight (own task, one read) ─► use what it brings, remember it
                        └── failed, or the deadline came first ──► a row within stale-if-error, or the error
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from features.clock import Clock
from features.deadline import Deadline
from features.events import Observer
from features.freshness import Bounds
from features.planning import Lookup
from features.second_chance import Places, SecondChance
from features.spec import FeatureView
from features.stores.base import OnlineStore
from features.turns import Turns
from features.values import EntityKey, Retrieved
from features.view_retrieval import ViewRetrieval

_TOGETHER: Final = 64
"""So many keys, and their rows are no dearer to take as columns than one by one: a request of the demo takes as long
either way with 64 and a tenth less with 128, one of a view of 30 floats as long with 100."""


class Retrieval:
    """Reads the rows of any view of one spec, through its caches."""

    __slots__ = ("_clock", "_places", "_turns", "_views")

    def __init__(
        self,
        views: Sequence[FeatureView],
        store: OnlineStore,
        clock: Clock,
        observer: Observer,
        *,
        max_rows: int,
        read_timeout_s: float,
        turns: Turns | None = None,
    ) -> None:
        """Prepares an empty cache for each view.

        Args:
            views: The spec's views.
            store: Where rows are read from.
            clock: The time.
            observer: Who learns of look-ups and reads.
            max_rows: Rows to remember per view; where views share an entity, they remember the same ones.
            read_timeout_s: How long one read may take where the view says nothing.
            turns: Where long work waits for its turn; its own if it shares them with nobody.
        """
        turns = self._turns = turns or Turns()
        self._clock = clock
        self._places: Final = {view.entity.name: SecondChance(max_rows) for view in views}
        self._views: Final = {
            view.name: ViewRetrieval(
                view,
                store,
                clock,
                observer,
                turns,
                places=self._places[view.entity.name],
                read_timeout_s=read_timeout_s,
            )
            for view in views
        }

    def remembered(self, lookups: Sequence[Lookup], bounds: Bounds) -> list[Sequence[Retrieved]] | None:
        """What `retrieve` would answer, if all of it is in memory and fresh, as nearly always; else None.

        Args:
            lookups: What is wanted; so little that nobody minds waiting for it.
            bounds: How old it may be.
        """
        if bounds.read_since is not None:
            return None
        now = self._clock.monotonic()
        found = []
        known: tuple[str, Sequence[EntityKey], Places] | None = None
        for view, keys in lookups:
            places = None
            if len(keys) >= _TOGETHER:
                if known is None or known[0] != view.entity.name or known[1] is not keys:
                    known = view.entity.name, keys, self._places[view.entity.name].find_all(keys)
                places = known[2]
            rows = self._views[view.name].remembered(keys, now, places)
            if rows is None:
                return None
            found.append(rows)
        for (view, keys), rows in zip(lookups, found, strict=True):
            self._views[view.name].note_remembered(keys, rows)
        return found

    async def fresh(self, lookup: Lookup) -> dict[EntityKey, Retrieved]:
        """Those rows of a lookup of distinct keys that are in memory and fresh; nothing is read for the others."""
        view, now = self._views[lookup.view.name], self._clock.monotonic()
        found: dict[EntityKey, Retrieved] = {}

        def pick(start: int, stop: int) -> None:
            keys = lookup.keys[start:stop]
            for some in [keys] if view.remembered(keys, now) is not None else [[key] for key in keys]:
                found.update(zip(some, view.remembered(some, now) or (), strict=False))

        await self._turns.over(len(lookup.keys), pick)
        return found

    async def retrieve(
        self, lookups: Sequence[Lookup], bounds: Bounds, deadline: Deadline, until: Deadline | None = None
    ) -> list[Sequence[Retrieved]]:
        """The rows of every lookup, one list per lookup in the order of its `keys`; views are read side by side.

        Failures are answers (`Retrieved.error`): what to do about them is the feature's policy.

        Args:
            lookups: What is wanted.
            bounds: How old it may be.
            deadline: How long to wait for reads.
            until: When the rows are worth nothing any more, if that is known; `deadline` is not: what has been read by
                then, or is in memory, is used.

        Raises:
            DeadlineExceeded: `until` passed between two slices.
        """
        begun = [await self._views[lookup.view.name].begin(lookup, bounds, until) for lookup in lookups]
        rows: list[Sequence[Retrieved]] = []
        for lookup, one in zip(lookups, begun, strict=True):
            answer = await self._views[lookup.view.name].finish(one, deadline, until)
            rows.append([answer[key] for key in lookup.keys])
        return rows

    def cached_rows(self) -> Mapping[str, int]:
        """How many rows are remembered, by view."""
        return {name: view.cached_rows for name, view in self._views.items()}

    async def aclose(self) -> None:
        """Ends the reads that are under way."""
        await asyncio.gather(*(view.aclose() for view in self._views.values()))
