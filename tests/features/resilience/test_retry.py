"""A call that failed in a way that passes is made again, soon, seldom, and never past its deadline."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from features.clock import ManualClock
from features.deadline import Deadline
from features.resilience.budget import TokenBudget
from features.resilience.retry import Retry

pytestmark = pytest.mark.anyio

Settle = Callable[[], Awaitable[None]]


class Passing(Exception):
    """Worth three attempts."""


class Lasting(Exception):
    """Worth one."""


def worth(error: Exception) -> int:
    return 3 if isinstance(error, Passing) else 1


class Calls:
    """Fails with the given errors, then succeeds; writes down when each attempt was made."""

    def __init__(self, clock: ManualClock, *errors: Exception) -> None:
        self.clock = clock
        self.errors = list(errors)
        self.made: list[tuple[int, float]] = []

    async def __call__(self, number: int) -> str:
        self.made.append((number, round(self.clock.monotonic() - 1_000, 6)))
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def _retry(clock: ManualClock, tokens: float = 10, ratio: float = 0.1, chance: float = 0.5) -> Retry:
    return Retry(clock, TokenBudget(tokens, ratio), worth, random=lambda: chance)


async def test_a_success_is_returned_and_earns_a_share_of_a_retry(clock: ManualClock) -> None:
    budget = TokenBudget(10, 0.1, tokens=0.5)
    calls = Calls(clock)
    assert await Retry(clock, budget, worth).call(calls, Deadline.after(1, clock)) == "answer"
    assert calls.made == [(1, 0.0)]
    assert repr(budget) == "<TokenBudget 0.60 of 10 tokens, 0 withdrawals refused>"


async def test_a_failure_that_passes_is_tried_again_after_a_growing_jittered_pause(
    clock: ManualClock, settle: Settle
) -> None:
    retry = _retry(clock)
    calls = Calls(clock, Passing(), Passing())
    calling = asyncio.create_task(retry.call(calls, Deadline.after(1, clock)))
    for pause_s in (0.01, 0.02):
        await settle()
        clock.advance(pause_s)
    assert await calling == "answer"
    assert calls.made == [(1, 0.0), (2, 0.01), (3, 0.03)]
    assert repr(retry) == "<Retry 2 retries, <TokenBudget 8.10 of 10 tokens, 0 withdrawals refused>>"


async def test_a_backend_that_says_when_to_come_back_is_left_alone_until_then(
    clock: ManualClock, settle: Settle
) -> None:
    retry = Retry(clock, TokenBudget(10, 0.1), worth, pushback_s=lambda _: 0.3, random=lambda: 0.5)
    calls = Calls(clock, Passing())
    calling = asyncio.create_task(retry.call(calls, Deadline.after(1, clock)))
    await settle()
    clock.advance(0.31)
    assert await calling == "answer"
    assert calls.made == [(1, 0.0), (2, 0.31)]
    with pytest.raises(Passing):
        await retry.call(Calls(clock, Passing()), Deadline.after(0.3, clock))


async def test_after_the_last_attempt_its_error_is_raised(clock: ManualClock) -> None:
    last = Passing()
    calls = Calls(clock, Passing(), Passing(), last, Passing())
    with pytest.raises(Passing) as raised:
        await _retry(clock, chance=0).call(calls, Deadline.after(1, clock))
    assert raised.value is last
    assert len(calls.made) == 3


@pytest.mark.parametrize("errors", [[Lasting()], [Passing(), Lasting()]])
async def test_an_error_that_lasts_ends_the_call(clock: ManualClock, errors: list[Exception]) -> None:
    calls = Calls(clock, *errors)
    with pytest.raises(Lasting):
        await _retry(clock, chance=0).call(calls, Deadline.after(1, clock))
    assert not calls.errors


async def test_no_attempt_is_made_when_the_pause_would_outlast_the_deadline(clock: ManualClock) -> None:
    retry = _retry(clock)
    calls = Calls(clock, Passing())
    with pytest.raises(Passing):
        await retry.call(calls, Deadline.after(0.01, clock))
    assert len(calls.made) == 1
    assert repr(retry) == "<Retry 0 retries, <TokenBudget 10.00 of 10 tokens, 0 withdrawals refused>>"


async def test_a_full_outage_sees_the_tokens_at_hand_and_then_first_calls_only(clock: ManualClock) -> None:
    """100 calls to a dead backend make 110 attempts; 1,500 calls, 30 s of 50 calls/s, make 1,510: 1.007 each."""
    retry = _retry(clock, ratio=0.2, chance=0)
    calls = Calls(clock, *[Passing()] * 5_000)
    for number in range(1, 1_501):
        with pytest.raises(Passing):
            await retry.call(calls, Deadline.after(1, clock))
        assert len(calls.made) <= number + 10
        if number == 100:
            assert len(calls.made) <= 1.10 * 100
    assert len(calls.made) / 1_500 <= 1.01


async def test_a_call_that_is_cancelled_while_it_pauses_makes_no_attempt(clock: ManualClock, settle: Settle) -> None:
    calls = Calls(clock, Passing())
    calling = asyncio.create_task(_retry(clock).call(calls, Deadline.after(1, clock)))
    await settle()
    calling.cancel()
    await settle()
    assert calling.cancelled()
    assert len(calls.made) == 1
    assert clock._alarms == []


async def test_cancellation_is_no_failure(clock: ManualClock) -> None:
    async def cancelled(_number: int) -> str:
        raise asyncio.CancelledError

    retry = _retry(clock)
    with pytest.raises(asyncio.CancelledError):
        await retry.call(cancelled, Deadline.after(1, clock))
    assert retry.retries == 0
