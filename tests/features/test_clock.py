"""Time enters by one door, and a test can hold that door."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from features.clock import ManualClock, SystemClock

pytestmark = pytest.mark.anyio

Settle = Callable[[], Awaitable[None]]


async def test_a_manual_clock_moves_only_when_told(clock: ManualClock) -> None:
    before = (clock.monotonic(), clock.wall())
    await asyncio.sleep(0)
    assert (clock.monotonic(), clock.wall()) == before
    clock.advance(1.5)
    assert (clock.monotonic(), clock.wall()) == (before[0] + 1.5, before[1] + 1.5)


async def test_a_step_of_the_wall_clock_leaves_the_monotonic_clock_alone(clock: ManualClock) -> None:
    clock.step_wall(-3600)
    assert (clock.monotonic(), clock.wall()) == (1_000.0, 1_700_000_000.0 - 3600)


async def test_wait_returns_when_the_last_future_is_done(clock: ManualClock, settle: Settle) -> None:
    first, second = asyncio.Future[None](), asyncio.Future[None]()
    waiting = asyncio.create_task(clock.wait([first, second], 2_000.0))
    first.set_result(None)
    await settle()
    assert not waiting.done()
    second.set_result(None)
    await settle()
    assert waiting.done()


async def test_wait_returns_at_its_moment_and_cancels_nothing(clock: ManualClock, settle: Settle) -> None:
    future = asyncio.Future[None]()
    waiting = asyncio.create_task(clock.wait([future], 1_005.0))
    await settle()
    clock.advance(4.999)
    await settle()
    assert not waiting.done()
    clock.advance(0.001)
    await settle()
    assert waiting.done()
    assert not future.done()


@pytest.mark.parametrize("until", [1_000.0, 0.0])
async def test_wait_for_a_moment_that_has_passed_returns_at_once(clock: ManualClock, until: float) -> None:
    await clock.wait([asyncio.Future[None]()], until)


async def test_wait_for_futures_that_are_done_returns_at_once(clock: ManualClock) -> None:
    done = asyncio.Future[None]()
    done.set_result(None)
    await clock.wait([done], 9_999.0)
    await clock.wait([], 9_999.0)


async def test_a_failed_future_counts_as_done_and_wait_does_not_raise(clock: ManualClock) -> None:
    failed = asyncio.Future[None]()
    failed.set_exception(ValueError("its reader's business"))
    await clock.wait([failed], 9_999.0)
    assert isinstance(failed.exception(), ValueError)


async def test_a_cancelled_waiter_leaves_futures_and_clock_as_they_were(clock: ManualClock, settle: Settle) -> None:
    future = asyncio.Future[None]()
    waiting = asyncio.create_task(clock.wait([future], 1_005.0))
    await settle()
    waiting.cancel()
    await settle()
    assert waiting.cancelled()
    assert not future.done()
    assert clock._alarms == []


async def test_many_waiters_wake_each_at_their_own_moment(clock: ManualClock, settle: Settle) -> None:
    future = asyncio.Future[None]()
    waiting = [asyncio.create_task(clock.wait([future], 1_000.0 + n)) for n in (1, 2, 3)]
    await settle()
    clock.advance(2)
    await settle()
    assert [task.done() for task in waiting] == [True, True, False]
    future.set_result(None)
    await waiting[2]
    assert clock._alarms == []


async def test_an_alarm_whose_waiter_went_in_the_same_moment_is_skipped(clock: ManualClock, settle: Settle) -> None:
    waiting = asyncio.create_task(clock.wait([asyncio.Future[None]()], 1_005.0))
    await settle()
    clock._alarms[0][1].cancel()
    clock.advance(5)
    await settle()
    assert waiting.done()


async def test_the_system_clock_is_the_machines() -> None:
    clock = SystemClock()
    assert abs(clock.monotonic() - time.monotonic()) < 1
    assert abs(clock.wall() - time.time()) < 1


async def test_the_system_clock_waits_for_futures_and_for_moments_and_cancels_nothing() -> None:
    clock = SystemClock()
    future = asyncio.Future[None]()
    await clock.wait([future], clock.monotonic() + 0.001)
    await clock.wait([future], clock.monotonic() - 1)
    assert not future.done()
    future.set_result(None)
    await clock.wait([future], clock.monotonic() + 60)
