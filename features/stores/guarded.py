"""Any store, made bearable under load and failure: the order in which calls are guarded, and why.

    read ─► throttle ─► retry ─► bulkhead ─► hedge ─► store.read
             once        each attempt has its own place and its own hedge

- **Throttle outside**: while the store refuses most reads, the next one is refused here, before it costs anything.
  What it counts are attempts, since each of them is a fact about the store.
- **Retry outside the hedge**: a retry answers failure, a hedge slowness. This way a hedged read has failed only when
  both its attempts have, and then one retry follows; the other way round each hedge would have retries of its own.
- **Bulkhead inside the retry**: a read that waits before it tries again is not in flight and holds no place.
- **Hedge inside the bulkhead**: waiting for a place is our doing and says nothing about the store, so it must not
  set off a hedge. A hedge takes a place of its own, and only one that is free: the cap holds for attempts.
- **Decoding behind all of them**: that is our doing, too. Ten thousand rows take half a second, in turns with other
  work; a read that has come by then is no slow one, holds no place, and is no failure if its reader goes away.

Throttle, bulkhead and budgets belong to the store, because it is a host that fails or fills up, all its views at once:
one `GuardedStore` per host. Latencies are kept apart by view and by size of the batch, because 500 wide rows take
longer than one narrow one every time, and "slower than nearly all others" must mean others of its kind.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from features.clock import Clock
from features.deadline import Deadline
from features.errors import (
    DeadlineExceeded,
    StoreAnswerInvalid,
    StoreAnswerTooLarge,
    StoreDenied,
    StoreError,
    StoreExhausted,
    StoreFailed,
    StoreTimeout,
    StoreUnavailable,
)
from features.events import Observer, ReadAttempted, ReadRefused
from features.resilience.budget import TokenBudget
from features.resilience.bulkhead import Bulkhead, BulkheadFull
from features.resilience.hedging import Hedge
from features.resilience.retry import Retry
from features.resilience.throttle import AdaptiveThrottle
from features.spec import FeatureView
from features.stores.base import Decode, OnlineStore, ReadAnswer, RemoteStore
from features.values import EntityKey

Answers = Mapping[EntityKey, ReadAnswer]
Ask = Callable[[FeatureView, Sequence[EntityKey], Deadline], Awaitable[Decode]]

# By outcome, whether sending less would have been no better; what is not named (a read that we gave up) says nothing.
_ACCEPTED: Final[Mapping[str, bool]] = {
    "ok": True,
    StoreAnswerInvalid.outcome: True,
    StoreDenied.outcome: True,
    StoreFailed.outcome: True,
    StoreUnavailable.outcome: False,
    StoreExhausted.outcome: False,
    StoreTimeout.outcome: False,
}


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """How much of everything."""

    max_in_flight: int = 64
    """Attempts in flight. Google's front ends allow 100 streams on one HTTP/2 connection; at 5 ms a read, 64 are
    12,800 reads per second, more than one worker can ask for."""

    max_waiting: int = 256
    """Reads that wait for a place. At 200 ms a read the last of them gets one after 0.8 s, which is all the time that
    features have; a longer queue would hold only reads that come too late."""

    attempts: int = 3
    """Attempts at a read while the store is unavailable, the first one counted. gRFC A6's example; two retries turn
    10 % of failures into 0.1 %."""

    retry_tokens: float = 10.0
    """Retries that an outage gets before there is a success again. gRFC A6's example for `maxTokens`."""

    retry_ratio: float = 0.2
    """Retries per success in the long run. gRFC A6 shows 0.1, but a store that fails 10 % of the time needs 0.11;
    Finagle ships 0.2. In a full outage nothing succeeds and the ratio does not matter."""

    hedge_ratio: float = 0.05
    """Hedges per success, at most. By the percentile alone there are about 0.025."""

    reread_ratio: float = 0.05
    """Repeated reads of invalid answers, per success. Apart from retries: a row that is wrong for good must not use up
    what an outage needs."""


class GuardedStore:
    """An `OnlineStore` that reads another one with the whole kit; see the module for the order."""

    __slots__ = (
        "_ask",
        "_bulkhead",
        "_clock",
        "_hedge_budget",
        "_hedges",
        "_limits",
        "_observer",
        "_reread_budget",
        "_retry",
        "_store",
        "_throttle",
    )

    def __init__(
        self,
        store: OnlineStore,
        clock: Clock,
        observer: Observer,
        limits: GuardLimits = GuardLimits(),
        *,
        random: Callable[[], float] = random.random,
    ) -> None:
        """Guards `store`.

        Args:
            store: The store of one host.
            clock: The time.
            observer: Who learns of attempts and refusals.
            limits: How much of everything.
            random: Uniform over [0, 1); decides about throttling and jitter.
        """
        self._store = store
        self._ask: Ask = store.ask if isinstance(store, RemoteStore) else self._read_whole
        self._clock = clock
        self._observer = observer
        self._limits = limits
        self._throttle = AdaptiveThrottle(clock, random=random)
        self._bulkhead = Bulkhead(clock, max_in_flight=limits.max_in_flight, max_waiting=limits.max_waiting)
        retry_budget = TokenBudget(limits.retry_tokens, limits.retry_ratio)
        self._retry = Retry(clock, retry_budget, self._worth, pushback_s=_pushback_s, random=random)
        # Begins empty, so that the share holds from the first read on; no hedge is missed before latencies are known.
        self._hedge_budget = TokenBudget(10.0, limits.hedge_ratio, tokens=0.0)
        self._reread_budget = TokenBudget(10.0, limits.reread_ratio)
        self._hedges: dict[tuple[str, int], Hedge] = {}

    def __repr__(self) -> str:
        return f"<GuardedStore {self._throttle!r} {self._bulkhead!r} {self._retry!r} of {self._store!r}>"

    async def open(self) -> None:
        """See `OnlineStore.open`."""
        await self._store.open()

    async def read(self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline) -> Answers:
        """See `OnlineStore.read`.

        Raises:
            StoreUnavailable: The store is, or the read was refused here to spare it.
            StoreTimeout: `deadline` passed.
            StoreError: What else the store raised.
        """
        if not self._throttle.admit():
            self._observer.observe(ReadRefused(view.name, "throttle"))
            raise StoreUnavailable("the store refuses most reads, so this one was not made")
        try:
            decode = await self._retry.call(partial(self._hedged, view, keys, deadline), deadline)
        except BulkheadFull as error:
            self._observer.observe(ReadRefused(view.name, "bulkhead"))
            raise StoreUnavailable("too many reads are in flight") from error
        answers = await decode()
        self._reread_budget.deposit()
        doubtful = [key for key in keys if self._doubts(answers.get(key, _LEFT_OUT))]
        if doubtful and self._reread_budget.withdraw():
            return {**answers, **await self._reread(view, doubtful, deadline)}
        return answers

    async def aclose(self) -> None:
        """See `OnlineStore.aclose`."""
        await self._store.aclose()

    def _doubts(self, answer: ReadAnswer) -> bool:
        """Whether one key of a read that succeeded is worth a second look."""
        return isinstance(answer, StoreError) and self._worth(answer) > 1

    def _worth(self, error: Exception) -> int:
        """How many attempts an error is worth: an outage may pass at once, nonsense gets one more chance.

        An exhausted quota does if the store says when to come back. Not a timeout, whose time is gone; nor a denial or
        a mistake of the store's own, which would only repeat itself.
        """
        match error:
            case StoreUnavailable() | StoreExhausted(retry_after_s=float()):
                return self._limits.attempts
            case StoreAnswerTooLarge():
                return 1
            case StoreAnswerInvalid():
                return 2
        return 1

    async def _hedged(self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline, number: int) -> Decode:
        """One attempt with a place of its own, and a hedge if it is slow."""
        first = partial(self._attempt, view, keys, deadline, "first" if number == 1 else "retry")
        second = partial(self._second, view, keys, deadline)
        try:
            async with self._bulkhead.place(deadline):
                return await self._hedge(view, len(keys)).call(first, deadline, second)
        except DeadlineExceeded as error:
            raise StoreTimeout(f"a read of {view.name} took longer than it may") from error

    async def _second(self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline) -> Decode:
        async with self._bulkhead.place(deadline):
            return await self._attempt(view, keys, deadline, "hedge")

    async def _attempt(self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline, kind: str) -> Decode:
        """One read of the store; the throttle and the observer learn how it went."""
        began_at = self._clock.monotonic()
        outcome = StoreError.outcome
        try:
            decode = await self._ask(view, keys, deadline)
            outcome = "ok"
        except StoreError as error:
            outcome = error.outcome
            raise
        except asyncio.CancelledError:
            # Whoever watches the deadline ends the read by cancelling it; before that, nobody needed it any more.
            outcome = StoreTimeout.outcome if deadline.passed else "cancelled"
            raise
        finally:
            accepted = _ACCEPTED.get(outcome)
            if accepted is not None:
                self._throttle.record(accepted)
            took_s = self._clock.monotonic() - began_at
            self._observer.observe(ReadAttempted(view.name, len(keys), took_s, outcome, kind))
        return decode

    async def _read_whole(self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline) -> Decode:
        """Asks a store that knows no other way than to read."""
        answers = await self._store.read(view, keys, deadline)

        async def decoded() -> Answers:
            return answers

        return decoded

    async def _reread(self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline) -> Answers:
        """Better answers to `keys`, if they can be had in half of the time left: the other keys' rows wait for them."""
        sooner = deadline.sooner(self._clock.monotonic() + deadline.remaining_s / 2)
        try:
            decode = await self._hedged(view, keys, sooner, 2)
            return await decode()
        except (StoreError, BulkheadFull):
            return {}  # the first answers stand

    def _hedge(self, view: FeatureView, n_keys: int) -> Hedge:
        kind = (view.name, size_class(n_keys))
        hedge = self._hedges.get(kind)
        if hedge is None:
            hedge = Hedge(self._clock, self._hedge_budget, room=lambda: self._bulkhead.free > 0)
            self._hedges[kind] = hedge
        return hedge


def _pushback_s(error: Exception) -> float:
    return (error.retry_after_s or 0.0) if isinstance(error, StoreExhausted) else 0.0


_LEFT_OUT: Final = StoreAnswerInvalid("the store's answer leaves a key out")


def size_class(n_keys: int) -> int:
    """Batches of about one size: 0 for one key, 1 for up to 4, 2 for up to 16, and so on in powers of four."""
    return ((n_keys - 1).bit_length() + 1) // 2
