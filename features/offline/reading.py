"""How a job reads: many keys in reads of several hundred, some of them side by side, at a pace, and with patience.

    distinct keys ─► fresh in memory ──────────────────────────────► used, at no cost
                └──► lacking ─► up to 500 at once ─► its turn ─► read ─► row, no row, or an error of this one key
                                       ▲                          │
                                       └──── pause, for a while ◄─┴ an outage

Nobody waits for an answer, so a row past its TTL is never used, whatever its view's stale windows say: it is read anew,
and if that takes longer, it takes longer.
"""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from features.clock import Clock
from features.deadline import Deadline
from features.errors import FeaturesError, StoreAnswerInvalid, StoreDenied, StoreFileChanged, StoreViewUnreadable
from features.freshness import Bounds
from features.offline.pace import Pace
from features.offline.patience import Patience
from features.planning import Lookup
from features.retrieval import Retrieval
from features.values import EntityKey, Retrieved

KEYS_PER_READ: Final = 500
"""As the coalescing store splits them, so that one read of ours is one of the store's, with a time of its own."""

_READS_AT_ONCE: Final = 8
"""Reads of one view under way. At 5 ms a read, two keep one core busy with decoding; slower stores need more."""

_LATEST_S: Final = 3_600.0
"""A read ends by its own timeout; this is only later than any."""

_UNBOUNDED: Final = Bounds()

_T = TypeVar("_T")


class PatientReading:
    """Reads rows for a job that has time."""

    __slots__ = ("_busy", "_clock", "_keys_per_read", "_pace", "_patience", "_retrieval")

    def __init__(self, retrieval: Retrieval, clock: Clock, patience: Patience, pace: Pace | None = None) -> None:
        """Reads nothing yet.

        Args:
            retrieval: Reads the spec's views; its read timeout is that of one read of `KEYS_PER_READ` keys.
            clock: The time.
            patience: What to do about outages.
            pace: How fast keys may be read; None for as fast as it goes.
        """
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # by view
        self._retrieval = retrieval
        self._clock = clock
        self._patience = patience
        self._pace = pace
        self._keys_per_read = min(KEYS_PER_READ, pace.keys_at_once) if pace else KEYS_PER_READ

    async def read(self, lookups: Sequence[Lookup]) -> list[Sequence[Retrieved]]:
        """The rows of distinct keys, one list per lookup in the order of its keys.

        Raises:
            StoreUnavailable: An outage has lasted for longer than the job's patience.
            StoreDenied: The store refuses our identity.
            StoreViewUnreadable: No key of a view can be read, as where it does not exist (any more).
        """
        remembered = self._retrieval.remembered(lookups, _UNBOUNDED)
        if remembered is not None:
            return remembered
        return await _all([self._read_view(lookup) for lookup in lookups])

    async def _read_view(self, lookup: Lookup) -> Sequence[Retrieved]:
        async with self._busy[lookup.view.name]:  # what another chunk reads just now, this one need not
            found = await self._retrieval.fresh(lookup)
            lacking = [key for key in lookup.keys if key not in found]
            starts = iter(range(0, len(lacking), self._keys_per_read))
            readers = min(_READS_AT_ONCE, -(-len(lacking) // self._keys_per_read))
            await _all([self._read_parts(lookup, lacking, starts, found) for _ in range(readers)])
        return [found[key] for key in lookup.keys]

    async def _read_parts(
        self, lookup: Lookup, keys: Sequence[EntityKey], starts: Iterator[int], found: dict[EntityKey, Retrieved]
    ) -> None:
        """One of the readers of a view: takes the next part until there is none left."""
        for start in starts:
            await self._read_part(Lookup(lookup.view, keys[start : start + self._keys_per_read]), found)

    async def _read_part(self, lookup: Lookup, found: dict[EntityKey, Retrieved]) -> None:
        failures, failing_since = 0, 0.0
        while True:
            if self._pace is not None:
                await self._pace.turn(len(lookup.keys))
            began_at = self._clock.monotonic()
            [rows] = await self._retrieval.retrieve(
                [lookup], Bounds(read_since=began_at), Deadline.after(_LATEST_S, self._clock)
            )
            found.update(zip(lookup.keys, rows, strict=True))
            outages = {
                key: outage for key, one in zip(lookup.keys, rows, strict=True) if (outage := _outage(one.error))
            }
            _refuse_all(lookup.view.name, rows)
            if len(outages) < len(rows):
                self._patience.answered()
            if not outages:
                return
            failing_since = failing_since if failures else began_at
            failures += 1
            error = next(iter(outages.values()))
            await self._patience.pause(lookup.view.name, error, failures, failing_since)
            lookup = Lookup(lookup.view, tuple(outages))


def _outage(error: FeaturesError | None) -> FeaturesError | None:
    """The error, if waiting may help; nonsense in one key's answer stays what it is."""
    lasting = isinstance(error, (StoreAnswerInvalid, StoreDenied)) and not isinstance(error, StoreFileChanged)
    return None if lasting else error


def _refuse_all(view: str, rows: Sequence[Retrieved]) -> None:
    """Ends the job where nothing at all can be read: every further row would only fail as well."""
    error = rows[0].error
    if isinstance(error, (StoreDenied, StoreViewUnreadable)) and all(type(one.error) is type(error) for one in rows):
        raise type(error)(f"{view!r} cannot be read: {error}; what is finished is kept: resume the job when it can")


async def _all(calls: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """What all calls return; if one fails, the others are ended."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
