"""Simulated time for the primitives, and chance that is the same on every run."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from features.clock import ManualClock


@pytest.fixture
def chance() -> random.Random:
    """Seeded: a simulation that goes red stays red."""
    return random.Random(20)  # noqa: S311  # chance, not secrets


@pytest.fixture
def simulate(clock: ManualClock) -> Callable[[Coroutine[Any, Any, None]], Awaitable[None]]:
    """Awaiting `simulate(coroutine)` runs it; whenever everything waits, the clock jumps to the next alarm."""

    async def settle() -> None:
        for _ in range(10):  # from an alarm to the end of the call it is seven steps; simulations take many
            await asyncio.sleep(0)

    async def simulated(coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        await settle()
        while not task.done():
            clock.advance(min(at for at, _ in clock._alarms) - clock.monotonic())
            await settle()
        task.result()

    return simulated


@pytest.fixture
def pass_time(clock: ManualClock) -> Callable[[float], Awaitable[None]]:
    """Inside something simulated, `await pass_time(s)` returns that much later."""

    async def passed(seconds: float) -> None:
        nothing = asyncio.get_running_loop().create_future()
        await clock.wait((nothing,), clock.monotonic() + seconds)

    return passed
