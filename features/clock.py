"""The one door through which time enters.

Two clocks, never mixed: `monotonic` measures how long ago something was *read* and when a deadline falls, `wall`
measures how long ago something *happened* (event times). Waiting is a matter of time too, so it goes through the
same door: a test that advances a `ManualClock` makes timeouts fire without sleeping.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Protocol


class Clock(Protocol):
    """What the rest of the code may ask about time."""

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch; may be stepped by an administrator."""
        ...

    async def wait(self, futures: Iterable[asyncio.Future[Any]], until: float) -> None:
        """Returns when all `futures` are done or `monotonic()` has reached `until`; cancels none of them."""
        ...


class SystemClock:
    """The machine's clocks and the running loop's timers."""

    __slots__ = ()

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    async def wait(self, futures: Iterable[asyncio.Future[Any]], until: float) -> None:
        """See `Clock.wait`; asyncio.wait leaves its futures alone when the waiter is cancelled."""
        pending = [future for future in futures if not future.done()]
        if pending:
            await asyncio.wait(pending, timeout=max(0.0, until - self.monotonic()))


class ManualClock:
    """A clock that stands still until `advance` is called; for tests and for replaying recorded moments."""

    __slots__ = ("_alarms", "_monotonic", "_wall")

    def __init__(self, *, monotonic: float = 1_000.0, wall: float = 1_700_000_000.0) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._alarms: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._monotonic

    def wall(self) -> float:
        """See `Clock.wall`."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Moves both clocks forward and wakes every waiter whose moment has come."""
        self._monotonic += seconds
        self._wall += seconds
        due = [alarm for alarm in self._alarms if alarm[0] <= self._monotonic]
        self._alarms = [alarm for alarm in self._alarms if alarm[0] > self._monotonic]
        for _, future in due:
            if not future.done():
                future.set_result(None)

    def step_wall(self, seconds: float) -> None:
        """Steps the wall clock alone, as NTP or an administrator would."""
        self._wall += seconds

    async def wait(self, futures: Iterable[asyncio.Future[Any]], until: float) -> None:
        """See `Clock.wait`."""
        pending = {future for future in futures if not future.done()}
        if not pending or until <= self._monotonic:
            return
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._alarms.append((until, alarm))
        try:
            while pending and not alarm.done():
                done, _ = await asyncio.wait({*pending, alarm}, return_when=asyncio.FIRST_COMPLETED)
                pending -= done
        finally:
            self._alarms = [kept for kept in self._alarms if kept[1] is not alarm]
