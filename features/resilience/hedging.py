"""Hedging: a call that takes longer than nearly all others is made a second time, and the first success counts.

Most slow calls are slow by accident (a queue, a collection, a lost packet), and the same accident seldom strikes twice.
Waiting for a high percentile first keeps the extra calls to a few in a hundred; a budget keeps them there when the
whole backend slows down and every call is "slow".

Source: Dean and Barroso, The Tail at Scale, "Hedged requests".
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

from features.clock import Clock
from features.deadline import Deadline
from features.errors import DeadlineExceeded
from features.resilience.budget import TokenBudget
from features.resilience.latencies import RecentLatencies

T = TypeVar("T")

MIN_DELAY_S: Final = 0.005
"""Below it the event loop's own stalls, a few milliseconds, would be taken for the backend's."""


class Hedge:
    """Makes calls of one kind, each at most twice.

    One `Hedge` serves calls whose latencies are alike; several may share a budget.

    Attributes:
        hedges: Second calls made so far.
        wins: How many of them were the first to succeed.
    """

    __slots__ = ("_budget", "_clock", "_latencies", "_min_delay_s", "_room", "hedges", "wins")

    def __init__(
        self,
        clock: Clock,
        budget: TokenBudget,
        latencies: RecentLatencies | None = None,
        *,
        min_delay_s: float = MIN_DELAY_S,
        room: Callable[[], bool] = lambda: True,
    ) -> None:
        """Begins with no latencies known, unless they are given: no call is hedged before there are enough.

        Args:
            clock: The time.
            budget: Pays for second calls; not the one that pays for retries, or an outage would use up both.
            latencies: Knows after how long a call is slow.
            min_delay_s: The least that "long" may be.
            room: Asked before a second call is made; False where it would keep a first one waiting.
        """
        self._clock = clock
        self._budget = budget
        self._latencies = latencies or RecentLatencies()
        self._min_delay_s = min_delay_s
        self._room = room
        self.hedges = 0
        self.wins = 0

    def __repr__(self) -> str:
        delay = "no delay yet" if self.delay_s is None else f"after {self.delay_s * 1e3:.1f} ms"
        return f"<Hedge {delay}, {self.hedges} hedges, {self.wins} wins>"

    @property
    def delay_s(self) -> float | None:
        """The hedging delay; None while too little is known."""
        slow_s = self._latencies.percentile_s
        return None if slow_s is None else max(slow_s, self._min_delay_s)

    async def call(
        self,
        attempt: Callable[[], Awaitable[T]],
        deadline: Deadline,
        second: Callable[[], Awaitable[T]] | None = None,
    ) -> T:
        """What the first attempt to succeed returns; the other one is cancelled.

        The error of an attempt that fails is raised only when no other is under way. So a call that fails before the
        hedging delay fails at once: trying again after a failure is somebody else's business.

        Args:
            attempt: Makes the call.
            deadline: When its answer is worth nothing any more; attempts that are under way then are cancelled.
            second: Makes the call the second time; None for `attempt`.

        Raises:
            DeadlineExceeded: No attempt ended in time.
            Exception: What the first attempt raised, if all failed.
        """
        if deadline.passed:
            raise DeadlineExceeded("the deadline passed before the call was made")
        began_at = self._clock.monotonic()
        race = _Race(asyncio.ensure_future(attempt()))
        try:
            delay_s = self.delay_s
            if delay_s is not None and delay_s < deadline.remaining_s:
                await self._clock.wait((race.decided,), began_at + delay_s)
                if not race.decided.done() and self._worthwhile(delay_s, deadline):
                    self.hedges += 1
                    race.enter(asyncio.ensure_future((second or attempt)()))
            await self._clock.wait((race.decided,), deadline.at)
            if not race.decided.done():
                raise DeadlineExceeded("the deadline passed while the call was under way")
            answer = race.decided.result().result()
            self.wins += race.decided.result() is not race.runners[0]
        finally:
            race.end()
            del race  # its error would hold it, by way of this frame
        # Of a call that was hedged the true latency is not known, only that it is beyond the percentile; so is what
        # is recorded, and the percentile comes out the same.
        self._latencies.record(self._clock.monotonic() - began_at)
        self._budget.deposit()
        return answer

    def _worthwhile(self, delay_s: float, deadline: Deadline) -> bool:
        """A second call needs the time of a slow first one, a place and a token; the token last, as asking takes it."""
        return deadline.remaining_s >= delay_s and self._room() and self._budget.withdraw()


class _Race(Generic[T]):
    """One or two attempts; decided by the first success, or by the last failure.

    Attributes:
        runners: The attempts, in order.
        decided: Resolves to the attempt whose outcome counts.
    """

    __slots__ = ("decided", "runners")

    def __init__(self, first: "asyncio.Future[T]") -> None:
        self.runners: list[asyncio.Future[T]] = []
        self.decided: asyncio.Future[asyncio.Future[T]] = asyncio.get_running_loop().create_future()
        self.enter(first)

    def enter(self, runner: "asyncio.Future[T]") -> None:
        """Lets one more attempt take part."""
        self.runners.append(runner)
        runner.add_done_callback(self._arrive)

    def end(self) -> None:
        """Cancels what is still under way.

        It is not waited for: the answer is there, and how long a backend takes to let go is not its caller's concern.
        """
        for runner in self.runners:
            runner.cancel()

    def _arrive(self, _runner: "asyncio.Future[T]") -> None:
        # All that have arrived are looked at: two may do so in one turn of the loop, the failure ahead of the success.
        arrived = [runner for runner in self.runners if runner.done()]
        succeeded = [runner for runner in arrived if _succeeded(runner)]
        if not self.decided.done() and (succeeded or len(arrived) == len(self.runners)):
            self.decided.set_result((succeeded or arrived)[0])


def _succeeded(runner: "asyncio.Future[Any]") -> bool:
    """Also takes note of the error of one that failed, so that the loop does not warn of it."""
    return not runner.cancelled() and runner.exception() is None
