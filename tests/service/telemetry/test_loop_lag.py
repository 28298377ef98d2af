"""The lag is how much later than asked the loop came round."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from features.clock import ManualClock
from service.telemetry.loop_lag import LoopLag


class Timers:
    """A loop whose next timer goes off when the test says."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.cancelled = False

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Any:
        self.asked.append(delay)
        self.go_off = callback
        return self

    def cancel(self) -> None:
        self.cancelled = True


def test_lag_is_what_passed_beyond_the_time_asked_for(clock: ManualClock) -> None:
    lags: list[float] = []
    timers = Timers()
    with LoopLag(lags.append, clock, timers):
        for passed in (0.1, 0.35, 0.099):
            clock.advance(passed)
            timers.go_off()
    assert [round(lag, 6) for lag in lags] == [0.0, 0.25, 0.0]
    assert timers.asked == [0.1] * 4
    assert timers.cancelled


@pytest.mark.anyio
async def test_a_real_loop_calls_back() -> None:
    came_round = asyncio.Event()
    with LoopLag(lambda _: came_round.set(), ManualClock(), asyncio.get_running_loop()):
        await asyncio.wait_for(came_round.wait(), 60)
