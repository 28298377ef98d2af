"""A pace is kept over any stretch of time, and nothing is saved up for a burst."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any

import pytest

from features.clock import ManualClock
from features.offline.pace import Pace

pytestmark = pytest.mark.anyio

Passing = Callable[[Awaitable[Any]], Awaitable[Any]]


async def test_in_any_stretch_no_more_keys_are_read_than_the_rate_and_one_read_allow(
    clock: ManualClock, passing: Passing
) -> None:
    pace, random, read = Pace(200, clock), Random(3), list[tuple[float, int]]()  # noqa: S311  # to be repeated

    async def reader() -> None:
        for _ in range(20):
            n_keys = random.randint(1, pace.keys_at_once)
            await pace.turn(n_keys)
            read.append((clock.monotonic(), n_keys))

    await passing(_together(reader, 5))
    assert len(read) == 100
    for at, (began, _) in enumerate(read):
        for to in range(at, len(read)):
            keys = sum(n_keys for _, n_keys in read[at : to + 1])
            stretch_s = read[to][0] - began + 0.01  # the clock goes in steps
            assert keys <= 200 * stretch_s + pace.keys_at_once + 1e-6
    total = sum(n_keys for _, n_keys in read)
    assert read[-1][0] - read[0][0] <= total / 200 + 0.011  # and no slower than asked for, but for a step of the clock


async def _together(reader: Callable[[], Coroutine[Any, Any, None]], readers: int) -> None:
    await asyncio.gather(*(reader() for _ in range(readers)))


async def test_what_was_not_used_is_not_made_up_for(clock: ManualClock, passing: Passing) -> None:
    pace = Pace(10, clock)
    clock.advance(60)
    began = clock.monotonic()
    for _ in range(6):
        await passing(pace.turn(1))
    assert clock.monotonic() - began == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("per_s", "at_once"), [(0.5, 1), (1, 1), (50, 5), (5_000, 500), (1e6, 100_000)])
async def test_one_read_holds_a_tenth_of_a_seconds_keys_at_most(clock: ManualClock, per_s: float, at_once: int) -> None:
    assert Pace(per_s, clock).keys_at_once == at_once
