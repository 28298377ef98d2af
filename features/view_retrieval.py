"""One view of a spec: look up, fetch what is missing in one batch, fall back; see `features.retrieval`.

More keys than fit into one slice are sorted, remembered and judged slice by slice, all by the clock as it stood when
the first one was: a row that comes or goes in between is as if it had a moment later. A key that is found missing is
in the air from that moment on, though the read, one for all of them, begins when the last key has been sorted.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from features.cache import ViewCache
from features.clock import Clock
from features.columns import CachedRow
from features.deadline import Deadline
from features.errors import (
    DeadlineExceeded,
    FeaturesError,
    StoreAnswerInvalid,
    StoreError,
    StoreTimeout,
    without_history,
)
from features.events import CacheLookedUp, Observer, StoreRead
from features.found_rows import FoundRows
from features.freshness import Bounds, Freshness, judge_read
from features.planning import Lookup
from features.resilience.single_flight import Flight, SingleFlight
from features.second_chance import Places, SecondChance
from features.spec import FeatureView
from features.stores.base import OnlineStore, ReadAnswer
from features.turns import SLICE, Turns
from features.values import EntityKey, Retrieved, Source

_Answer = CachedRow | StoreError

_SOONER_S: Final = 0.02
_SOONER_SHARE: Final = 0.05
"""By the lesser of these the store's own deadline is sooner than ours, so that a store that answers some keys and gives
up on others can still say so; else the rows that came would be lost with those that did not."""

_OUTAGE_READS: Final = 16
"""So many reads that failed in a row are an outage: of a store that fails every second time one in 65,536."""
_OUTAGE_PAUSE_S: Final = 0.02
"""How far apart reads are in an outage whose keys have a row that may be used. Without it every request makes one, is
refused, and takes twice as long as with its row at hand."""


@dataclass(slots=True)
class _Sorted:
    """The distinct keys of one lookup, by what has to be done about them.

    Attributes:
        now: When they were looked up.
        hurried: Whether they are few: the read of thousands that brings one of them, too, is not waited for.
        ready: What can be used.
        fallback: What could be used if the read failed.
        flights: Reads under way that will bring a key.
        missing: Keys that a new read has to bring; not waited for are those that it only refreshes.
        refreshing: Keys that it refreshes.
        stale: How many of the keys that are ready are stale.
        negative: How many of them are known to have no row.
        coalesced: How many keys somebody else reads already.
    """

    now: float
    hurried: bool
    ready: dict[EntityKey, Retrieved] = field(default_factory=dict)
    fallback: dict[EntityKey, CachedRow] = field(default_factory=dict)
    flights: dict[EntityKey, Flight[EntityKey, _Answer]] = field(default_factory=dict)
    missing: list[EntityKey] = field(default_factory=list)
    refreshing: list[EntityKey] = field(default_factory=list)
    stale: int = 0
    negative: int = 0
    coalesced: int = 0


class ViewRetrieval:
    """Reads the rows of one view, through its cache."""

    __slots__ = (
        "_cache",
        "_clock",
        "_failed_in_a_row",
        "_flights",
        "_observer",
        "_one_fresh",
        "_read_timeout_s",
        "_store",
        "_tried_at",
        "_turns",
        "_view",
    )

    def __init__(
        self,
        view: FeatureView,
        store: OnlineStore,
        clock: Clock,
        observer: Observer,
        turns: Turns,
        *,
        places: SecondChance,
        read_timeout_s: float,
    ) -> None:
        """Prepares an empty cache; see `features.retrieval.Retrieval`."""
        self._turns = turns
        self._view = view
        self._one_fresh = CacheLookedUp(view.name, fresh=1)  # said most of all
        self._store = store
        self._clock = clock
        self._observer = observer
        self._cache = ViewCache(view, places)
        self._read_timeout_s = view.read_timeout_s or read_timeout_s
        self._flights: SingleFlight[EntityKey, _Answer] = SingleFlight(clock)
        self._failed_in_a_row = 0
        self._tried_at = -math.inf

    @property
    def cached_rows(self) -> int:
        """How many rows are remembered."""
        return len(self._cache)

    def remembered(
        self, keys: Sequence[EntityKey], now: float, places: Places | None = None
    ) -> Sequence[Retrieved] | None:
        """The rows of all keys if every one is in memory and fresh, as nearly always; else None.

        Args:
            keys: The keys.
            now: The time on the monotonic clock.
            places: Their places, if they are known; then the rows are found together.
        """
        return self._cache.fresh(keys, now) if places is None else self._cache.fresh_together(keys, places, now)

    def note_remembered(self, keys: Sequence[EntityKey], rows: Sequence[Retrieved]) -> None:
        """States that these rows were used as `remembered` gave them."""
        if type(rows) is FoundRows:
            absent = {keys[at] for at in rows.absent}
            self._observer.observe(CacheLookedUp(self._view.name, fresh=rows.distinct, negative=len(absent)))
        elif len(keys) == 1 and rows[0].row is not None:
            self._observer.observe(self._one_fresh)
        else:
            there = {key: one.row is not None for key, one in zip(keys, rows, strict=True)}
            fresh = sum(there.values())
            self._observer.observe(CacheLookedUp(self._view.name, fresh=fresh, negative=len(there) - fresh))

    async def begin(self, lookup: Lookup, bounds: Bounds, until: Deadline | None) -> _Sorted:
        """Sorts the keys and starts the read that is needed, without waiting for any."""
        keys = lookup.distinct()
        found = _Sorted(self._clock.monotonic(), hurried=len(keys) <= SLICE)
        if found.hurried:
            self._sort(keys, bounds, found)
            fetched = [*found.missing, *found.refreshing]
            if fetched:
                flight = self._flights.launch(
                    fetched, lambda began_at: self._fetch(fetched, began_at), self._read_timeout_s
                )
                found.flights.update(dict.fromkeys(found.missing, flight))
        else:
            await self._board(keys, bounds, found, until)
        self._observer.observe(_looked_up(self._view.name, found))
        return found

    async def _board(self, keys: Sequence[EntityKey], bounds: Bounds, found: _Sorted, until: Deadline | None) -> None:
        """Sorts many keys slice by slice; what a slice lacks boards one flight, which departs after the last one.

        It departs with those aboard even if the request ends here: others may have joined it.
        """
        flight: Flight[EntityKey, _Answer] | None = None
        boarded = asyncio.Event()

        def sort(start: int, stop: int) -> None:
            nonlocal flight
            n_missing, n_refreshing = len(found.missing), len(found.refreshing)
            self._sort(keys[start:stop], bounds, found)
            missing = found.missing[n_missing:]
            fetched = missing + found.refreshing[n_refreshing:]
            if flight is None and fetched:
                flight = self._flights.launch((), depart, self._read_timeout_s, slow=True)
            if flight is not None:
                self._flights.board(flight, fetched)
                found.flights.update(dict.fromkeys(missing, flight))

        async def depart(began_at: float) -> Mapping[EntityKey, _Answer]:
            nonlocal flight
            await boarded.wait()
            assert flight is not None  # noqa: S101  # it is this call's; tells the type checker
            aboard, flight = flight.keys, None  # its error would hold it, by way of this frame
            return await self._fetch(aboard, began_at)

        try:
            await self._turns.over(len(keys), sort, until)
        finally:
            boarded.set()

    def _sort(self, keys: Sequence[EntityKey], bounds: Bounds, found: _Sorted) -> None:
        now, since = found.now, bounds.read_since
        fresh = self._cache.fresh(keys, now) if since is None else None
        if fresh is not None:
            found.ready.update(zip(keys, fresh, strict=True))
            found.negative += sum([one.row is None for one in fresh])
            return
        for key in keys:
            known = self._cache.get(key)
            if known is not None and (since is None or known.read_at >= since):
                if now < known.fresh_until:
                    found.ready[key] = known
                    found.negative += known.row is None
                elif known.row is None or not self._use_late(key, known, found):
                    self._join_or_miss(key, since, found)
            else:
                self._join_or_miss(key, since, found)

    def _use_late(self, key: EntityKey, known: CachedRow, found: _Sorted) -> bool:
        """Whether a row past its TTL is used; one that is too late for that may still be a fallback."""
        freshness = judge_read(found.now - known.fresh_until, self._view.cache)
        if freshness is Freshness.STALE:
            found.ready[key] = Retrieved(known.row, Source.STALE, known.read_at)
            found.stale += 1
            if not self._in_vain(found.now) and self._flights.join(key, None) is None:
                found.refreshing.append(key)
            return True
        if freshness is Freshness.STALE_IF_ERROR:
            if self._in_vain(found.now):
                found.ready[key] = _late(known)
                found.stale += 1
                return True
            found.fallback[key] = known
        return False

    def _in_vain(self, now: float) -> bool:
        """Whether the store is out, as was seen a moment ago: then who has a row need not see it, too."""
        return self._failed_in_a_row >= _OUTAGE_READS and now < self._tried_at + _OUTAGE_PAUSE_S

    def _join_or_miss(self, key: EntityKey, since: float | None, found: _Sorted) -> None:
        flight = self._flights.join(key, since, hurried=found.hurried)
        if flight is None:
            found.missing.append(key)
        else:
            found.flights[key] = flight
            found.coalesced += 1

    async def finish(self, found: _Sorted, deadline: Deadline, until: Deadline | None) -> dict[EntityKey, Retrieved]:
        """Waits for the flights, to the deadline at most, and falls back where they do not bring a row."""
        if not found.flights:
            return found.ready
        flights = set(found.flights.values())
        await self._clock.wait([flight.task for flight in flights], deadline.at)
        # Decided here for all keys: a flight that lands between two slices has come too late for either.
        landed = {flight: _failure(flight) or flight.task.result() for flight in flights}
        keys = list(found.flights.items())

        def take(start: int, stop: int) -> None:
            for key, flight in keys[start:stop]:
                brought = landed[flight]
                answer = brought if isinstance(brought, FeaturesError) else brought[key]
                found.ready[key] = _judge(answer, found.fallback.get(key))

        await self._turns.over(len(keys), take, until)
        return found.ready

    async def _fetch(self, keys: Sequence[EntityKey], began_at: float) -> Mapping[EntityKey, _Answer]:
        """One read of the store; remembers what it brings."""
        outcome = StoreError.outcome
        asked_at = self._clock.monotonic()  # later than `began_at` where keys were boarded one slice after the other
        self._tried_at = asked_at
        try:
            answers = await self._read(keys, Deadline(began_at + self._read_timeout_s, self._clock))
            outcome = "ok"
            self._failed_in_a_row = 0
        except StoreError as error:
            outcome = error.outcome
            self._failed_in_a_row += 1
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            took_s = self._clock.monotonic() - asked_at
            self._observer.observe(StoreRead(self._view.name, len(keys), took_s, outcome))
        remembered: dict[EntityKey, _Answer] = {}

        def remember(start: int, stop: int) -> None:
            for key in keys[start:stop]:
                remembered[key] = self._remember(key, answers, began_at)

        await self._turns.over(len(keys), remember)
        return remembered

    async def _read(self, keys: Sequence[EntityKey], deadline: Deadline) -> Mapping[EntityKey, ReadAnswer]:
        stores_own = deadline.sooner(deadline.at - min(_SOONER_S, _SOONER_SHARE * self._read_timeout_s))
        reading = asyncio.create_task(self._store.read(self._view, keys, stores_own))
        reading.add_done_callback(_take_note)
        try:
            await self._clock.wait((reading,), deadline.at)
            if reading.done():
                return reading.result()
        finally:
            reading.cancel()
            del reading  # its error would hold it, by way of this frame
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


def _judge(answer: CachedRow | FeaturesError, fallback: CachedRow | None) -> Retrieved:
    if isinstance(answer, CachedRow):
        return Retrieved(answer.row, Source.STORE, answer.read_at)
    return Retrieved(None, error=answer) if fallback is None else _late(fallback)


def _late(known: CachedRow) -> Retrieved:
    """A row that is used for want of a better one."""
    return Retrieved(known.row, Source.STALE, known.read_at, degraded=True)


def _failure(flight: Flight[EntityKey, _Answer]) -> FeaturesError | None:
    if not flight.task.done():
        return DeadlineExceeded("the deadline passed while features were being read")
    if flight.task.cancelled():
        return StoreError("the read was ended")
    error = flight.task.exception()
    if error is None:
        return None
    if isinstance(error, FeaturesError):
        return without_history(error)
    raise error  # a programming error of ours is nobody's outage


def _looked_up(view: str, found: _Sorted) -> CacheLookedUp:
    return CacheLookedUp(
        view,
        fresh=len(found.ready) - found.stale - found.negative,
        stale=found.stale,
        negative=found.negative,
        miss=len(found.missing),
        coalesced=found.coalesced,
    )
