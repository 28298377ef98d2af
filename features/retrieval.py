"""Look up, fetch what is missing in one batch per view, fall back.

cache ── fresh ───────────────────────────────► use it
      ── stale ── refresh in the background ──► use it
      ── miss ──► flight (own task, one read) ─► use what it brings, remember it
                        └── failed, or the deadline came first ──► a row within stale-if-error, or the error
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from features.cache import CachedRow, ViewCache
from features.clock import Clock
from features.deadline import Deadline
from features.errors import DeadlineExceeded, FeaturesError, StoreAnswerInvalid, StoreError, StoreTimeout
from features.events import CacheLookedUp, Observer, StoreRead
from features.freshness import Bounds, Freshness, judge_read
from features.planning import Lookup
from features.resilience.single_flight import Flight, SingleFlight
from features.spec import FeatureView
from features.stores.base import OnlineStore, ReadAnswer
from features.values import EntityKey, Retrieved, Source

_Answer = CachedRow | StoreError


@dataclass(slots=True)
class _Sorted:
    """The distinct keys of one lookup, by what has to be done about them."""

    ready: dict[EntityKey, Retrieved] = field(default_factory=dict)
    fallback: dict[EntityKey, CachedRow] = field(default_factory=dict)
    flights: dict[EntityKey, Flight[EntityKey, _Answer]] = field(default_factory=dict)
    missing: list[EntityKey] = field(default_factory=list)
    refreshing: list[EntityKey] = field(default_factory=list)
    negative: int = 0


class Retrieval:
    """Reads the rows of any view of one spec, through its caches."""

    __slots__ = ("_views",)

    def __init__(
        self,
        views: Sequence[FeatureView],
        store: OnlineStore,
        clock: Clock,
        observer: Observer,
        *,
        max_rows: int,
        read_timeout_s: float,
    ) -> None:
        """Prepares an empty cache for each view.

        Args:
            views: The spec's views.
            store: Where rows are read from.
            clock: The time.
            observer: Who learns of look-ups and reads.
            max_rows: Rows to remember per view.
            read_timeout_s: How long one read may take where the view says nothing.
        """
        self._views: Final = {
            view.name: _ViewRetrieval(view, store, clock, observer, max_rows=max_rows, read_timeout_s=read_timeout_s)
            for view in views
        }

    async def retrieve(self, lookups: Sequence[Lookup], bounds: Bounds, deadline: Deadline) -> list[list[Retrieved]]:
        """The rows of every lookup, one list per lookup in the order of its `keys`; views are read side by side.

        Failures are answers (`Retrieved.error`): what to do about them is the feature's policy.
        """
        begun = [self._views[lookup.view.name].begin(lookup, bounds) for lookup in lookups]
        answers = [
            await self._views[lookup.view.name].finish(one, deadline)
            for lookup, one in zip(lookups, begun, strict=True)
        ]
        return [[answer[key] for key in lookup.keys] for lookup, answer in zip(lookups, answers, strict=True)]

    def cached_rows(self) -> Mapping[str, int]:
        """How many rows are remembered, by view."""
        return {name: view.cached_rows for name, view in self._views.items()}

    async def aclose(self) -> None:
        """Ends the reads that are under way."""
        await asyncio.gather(*(view.aclose() for view in self._views.values()))


class _ViewRetrieval:
    """The same for one view."""

    __slots__ = ("_cache", "_clock", "_flights", "_observer", "_read_timeout_s", "_store", "_view")

    def __init__(
        self,
        view: FeatureView,
        store: OnlineStore,
        clock: Clock,
        observer: Observer,
        *,
        max_rows: int,
        read_timeout_s: float,
    ) -> None:
        self._view = view
        self._store = store
        self._clock = clock
        self._observer = observer
        self._cache = ViewCache(view, max_rows)
        self._read_timeout_s = view.read_timeout_s or read_timeout_s
        self._flights: SingleFlight[EntityKey, _Answer] = SingleFlight(clock)

    @property
    def cached_rows(self) -> int:
        return len(self._cache)

    def begin(self, lookup: Lookup, bounds: Bounds) -> _Sorted:
        """Sorts the keys and starts the reads that are needed, without waiting for any."""
        found = _Sorted()
        now = self._clock.monotonic()
        for key in lookup.distinct:
            self._sort(key, now, bounds, found)
        self._observer.observe(_looked_up(self._view.name, found))
        if found.missing or found.refreshing:
            fetched = [*found.missing, *found.refreshing]
            flight = self._flights.launch(
                fetched, lambda began_at: self._fetch(fetched, began_at), self._read_timeout_s
            )
            found.flights.update(dict.fromkeys(found.missing, flight))
        return found

    def _sort(self, key: EntityKey, now: float, bounds: Bounds, found: _Sorted) -> None:
        known = self._cache.get(key)
        if known is not None and (bounds.read_since is None or known.read_at >= bounds.read_since):
            cached_s = now - known.read_at
            if known.row is None:
                if cached_s < known.ttl_s:
                    found.ready[key] = Retrieved(None, Source.CACHE, cached_s)
                    found.negative += 1
                    return
            else:
                freshness = judge_read(cached_s, known.ttl_s, self._view.cache)
                if freshness is Freshness.FRESH:
                    found.ready[key] = Retrieved(known.row, Source.CACHE, cached_s)
                    return
                if freshness is Freshness.STALE:
                    found.ready[key] = Retrieved(known.row, Source.STALE, cached_s)
                    if self._flights.join(key, None) is None:
                        found.refreshing.append(key)
                    return
                if freshness is Freshness.STALE_IF_ERROR:
                    found.fallback[key] = known
        flight = self._flights.join(key, bounds.read_since)
        if flight is None:
            found.missing.append(key)
        else:
            found.flights[key] = flight

    async def finish(self, found: _Sorted, deadline: Deadline) -> dict[EntityKey, Retrieved]:
        """Waits for the flights, to the deadline at most, and falls back where they do not bring a row."""
        if found.flights:
            await self._clock.wait({flight.task for flight in found.flights.values()}, deadline.at)
            now = self._clock.monotonic()
            for key, flight in found.flights.items():
                found.ready[key] = self._landed(key, flight, found.fallback.get(key), now)
        return found.ready

    def _landed(
        self, key: EntityKey, flight: Flight[EntityKey, _Answer], fallback: CachedRow | None, now: float
    ) -> Retrieved:
        failure = _failure(flight)
        if failure is None:
            answer = flight.task.result()[key]
            if isinstance(answer, CachedRow):
                return Retrieved(answer.row, Source.STORE, now - answer.read_at)
            failure = answer
        if fallback is not None:
            return Retrieved(fallback.row, Source.STALE, now - fallback.read_at, degraded=True)
        return Retrieved(None, error=failure)

    async def _fetch(self, keys: Sequence[EntityKey], began_at: float) -> Mapping[EntityKey, _Answer]:
        """One read of the store; remembers what it brings."""
        outcome = StoreError.outcome
        try:
            answers = await self._read(keys, Deadline(began_at + self._read_timeout_s, self._clock))
            outcome = "ok"
        except StoreError as error:
            outcome = error.outcome
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            took_s = self._clock.monotonic() - began_at
            self._observer.observe(StoreRead(self._view.name, len(keys), took_s, outcome))
        return {key: self._remember(key, answers, began_at) for key in keys}

    async def _read(self, keys: Sequence[EntityKey], deadline: Deadline) -> Mapping[EntityKey, ReadAnswer]:
        reading = asyncio.create_task(self._store.read(self._view, keys, deadline))
        reading.add_done_callback(_take_note)
        try:
            await self._clock.wait((reading,), deadline.at)
            if reading.done():
                return reading.result()
        finally:
            reading.cancel()
        raise StoreTimeout(f"a read of {self._view.name} took longer than {self._read_timeout_s:g} s")

    def _remember(self, key: EntityKey, answers: Mapping[EntityKey, ReadAnswer], began_at: float) -> _Answer:
        answer = answers.get(key, _LEFT_OUT)
        if isinstance(answer, StoreError):
            return answer
        return self._cache.put(key, answer, began_at)

    async def aclose(self) -> None:
        """Ends the reads that are under way."""
        await self._flights.aclose()


_LEFT_OUT: Final = StoreAnswerInvalid("the store's answer leaves a key out")


def _take_note(reading: "asyncio.Task[Mapping[EntityKey, ReadAnswer]]") -> None:
    """A read that nobody waits for any more may fail in silence."""
    if not reading.cancelled():
        reading.exception()


def _failure(flight: Flight[EntityKey, _Answer]) -> FeaturesError | None:
    if not flight.task.done():
        return DeadlineExceeded("the deadline passed while features were being read")
    if flight.task.cancelled():
        return StoreError("the read was ended")
    error = flight.task.exception()
    if error is None or isinstance(error, FeaturesError):
        return error
    raise error  # a programming error of ours is nobody's outage


def _looked_up(view: str, found: _Sorted) -> CacheLookedUp:
    stale = sum(1 for one in found.ready.values() if one.source is Source.STALE)
    return CacheLookedUp(
        view,
        fresh=len(found.ready) - stale - found.negative,
        stale=stale,
        negative=found.negative,
        miss=len(found.missing),
        coalesced=len(found.flights),
    )
