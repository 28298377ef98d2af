"""Bulkhead: a bounded number of calls in flight, so that one slow backend does not fill the whole ship.

Who finds no place waits for one, in order of arrival, to their own deadline; who finds the queue full as well is
refused at once. An unbounded queue would only turn overload into answers that come too late.

Source: Nygard, Release It!, "Bulkheads".
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from features.clock import Clock
from features.deadline import Deadline
from features.errors import DeadlineExceeded


class BulkheadFull(Exception):
    """All places are taken and so is the queue for them."""


class Bulkhead:
    """Hands out `max_in_flight` places, first come, first served."""

    __slots__ = ("_clock", "_in_flight", "_max_in_flight", "_max_waiting", "_waiting")

    def __init__(self, clock: Clock, *, max_in_flight: int, max_waiting: int) -> None:
        self._clock = clock
        self._max_in_flight = max_in_flight
        self._max_waiting = max_waiting
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return (
            f"<Bulkhead {self._in_flight} of {self._max_in_flight} in flight, "
            f"{len(self._waiting)} of {self._max_waiting} waiting>"
        )

    @property
    def free(self) -> int:
        """Places that could be taken without waiting."""
        return self._max_in_flight - self._in_flight

    @asynccontextmanager
    async def place(self, deadline: Deadline) -> AsyncIterator[None]:
        """Holds a place while the body runs.

        Raises:
            BulkheadFull: There is no place and no room to wait for one.
            DeadlineExceeded: No place came free in time; the body has not begun.
        """
        if self.free:  # nobody is waiting then: a place that comes free is handed on, never put back past a waiter
            self._in_flight += 1
        else:
            await self._wait(deadline)
        try:
            yield
        finally:
            self._hand_on()

    async def _wait(self, deadline: Deadline) -> None:
        if len(self._waiting) >= self._max_waiting:
            raise BulkheadFull
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await self._clock.wait((turn,), deadline.at)
        except asyncio.CancelledError:
            self._give_up(turn)
            raise
        if not turn.done() or deadline.passed:
            self._give_up(turn)
            raise DeadlineExceeded("the deadline passed while waiting for a place")

    def _give_up(self, turn: "asyncio.Future[None]") -> None:
        """Leaves the queue; if a place was handed over in this very moment, it goes to the next."""
        if turn.done():
            self._hand_on()
        else:
            self._waiting.remove(turn)

    def _hand_on(self) -> None:
        """Gives a place to whoever has waited longest; only if nobody waits does it become free."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._in_flight -= 1
