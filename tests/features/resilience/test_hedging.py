"""A call that takes longer than nearly all others is made a second time, and the first success counts."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from features.clock import ManualClock
from features.deadline import Deadline
from features.errors import DeadlineExceeded
from features.resilience.budget import TokenBudget
from features.resilience.hedging import Hedge
from features.resilience.latencies import RecentLatencies

pytestmark = pytest.mark.anyio

Settle = Callable[[], Awaitable[None]]


class Attempts:
    """Attempts that hang until the test says how each of them ends."""

    def __init__(self) -> None:
        self.made: list[asyncio.Future[str]] = []
        self.cancelled: list[int] = []

    async def __call__(self) -> str:
        number = len(self.made)
        self.made.append(asyncio.get_running_loop().create_future())
        try:
            return await self.made[number]
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise


@pytest.fixture
def attempts() -> Attempts:
    return Attempts()


def _hedge(clock: ManualClock, *, delay_s: float = 0.01, tokens: float = 10, room: bool = True) -> Hedge:
    latencies = RecentLatencies()
    for _ in range(128):
        latencies.record(delay_s)
    return Hedge(clock, TokenBudget(10, 0.05, tokens=tokens), latencies, room=lambda: room)


class Call:
    """A hedged call under way."""

    def __init__(self, hedge: Hedge, attempts: Attempts, clock: ManualClock, settle: Settle, budget_s: float) -> None:
        self.task = asyncio.create_task(hedge.call(attempts, Deadline.after(budget_s, clock)))
        self._clock = clock
        self._settle = settle

    async def after(self, seconds: float) -> None:
        await self._settle()
        self._clock.advance(seconds)
        await self._settle()


@pytest.fixture
def begin(attempts: Attempts, clock: ManualClock, settle: Settle) -> Iterator[Callable[..., Call]]:
    def _begin(hedge: Hedge, budget_s: float = 1.0) -> Call:
        return Call(hedge, attempts, clock, settle, budget_s)

    yield _begin
    assert clock._alarms == []


Begin = Callable[..., Call]


async def test_a_call_that_ends_before_the_delay_is_made_once(
    clock: ManualClock, attempts: Attempts, begin: Begin
) -> None:
    hedge = _hedge(clock)
    call = begin(hedge)
    await call.after(0.009)
    attempts.made[0].set_result("first")
    assert await call.task == "first"
    assert len(attempts.made) == 1
    assert repr(hedge) == "<Hedge after 10.0 ms, 0 hedges, 0 wins>"


async def test_a_slow_call_is_hedged_and_the_loser_is_cancelled(
    clock: ManualClock, attempts: Attempts, begin: Begin, settle: Settle
) -> None:
    tasks = asyncio.all_tasks()
    hedge = _hedge(clock)
    call = begin(hedge)
    await call.after(0.01)
    attempts.made[1].set_result("second")
    assert await call.task == "second"
    await settle()
    assert attempts.cancelled == [0]
    assert (hedge.hedges, hedge.wins) == (1, 1)
    assert asyncio.all_tasks() == tasks


async def test_a_hedge_that_loses_counts_as_no_win(
    clock: ManualClock, attempts: Attempts, begin: Begin, settle: Settle
) -> None:
    hedge = _hedge(clock)
    call = begin(hedge)
    await call.after(0.01)
    attempts.made[0].set_result("first")
    assert await call.task == "first"
    await settle()
    assert attempts.cancelled == [1]
    assert (hedge.hedges, hedge.wins) == (1, 0)


async def test_the_second_attempt_may_be_made_differently(
    clock: ManualClock, attempts: Attempts, settle: Settle
) -> None:
    async def second() -> str:
        return "differently"

    task = asyncio.create_task(_hedge(clock).call(attempts, Deadline.after(1, clock), second))
    await settle()
    clock.advance(0.01)
    assert await task == "differently"


async def test_a_failure_before_the_delay_is_raised_at_once(
    clock: ManualClock, attempts: Attempts, begin: Begin
) -> None:
    call = begin(_hedge(clock))
    await call.after(0.001)
    attempts.made[0].set_exception(ValueError("quick"))
    with pytest.raises(ValueError, match="quick"):
        await call.task
    assert len(attempts.made) == 1


@pytest.mark.parametrize(("fails", "succeeds"), [(0, 1), (1, 0)])
async def test_while_one_attempt_is_under_way_the_failure_of_the_other_does_not_count(
    clock: ManualClock, attempts: Attempts, begin: Begin, *, settle: Settle, fails: int, succeeds: int
) -> None:
    call = begin(_hedge(clock))
    await call.after(0.01)
    attempts.made[fails].set_exception(ValueError("unlucky"))
    await settle()
    assert not call.task.done()
    attempts.made[succeeds].set_result("answer")
    assert await call.task == "answer"


@pytest.mark.parametrize(("fails", "succeeds"), [(0, 1), (1, 0)])
async def test_a_success_counts_though_the_other_attempt_fails_in_the_same_moment(
    clock: ManualClock, attempts: Attempts, begin: Begin, fails: int, succeeds: int
) -> None:
    call = begin(_hedge(clock))
    await call.after(0.01)
    attempts.made[fails].set_exception(ValueError("unlucky"))
    attempts.made[succeeds].set_result("answer")
    assert await call.task == "answer"


async def test_if_both_fail_the_error_of_the_first_is_raised(
    clock: ManualClock, attempts: Attempts, begin: Begin
) -> None:
    hedge = _hedge(clock)
    call = begin(hedge)
    await call.after(0.01)
    attempts.made[1].set_exception(ValueError("second"))
    attempts.made[0].set_exception(ValueError("first"))
    with pytest.raises(ValueError, match="first"):
        await call.task
    assert hedge.wins == 0


async def test_the_failure_of_a_loser_is_seen_by_nobody_and_warned_about_by_nobody(
    clock: ManualClock, attempts: Attempts, begin: Begin, settle: Settle
) -> None:
    call = begin(_hedge(clock))
    await call.after(0.01)
    attempts.made[0].set_result("first")
    attempts.made[1].set_exception(ValueError("in the same moment"))
    assert await call.task == "first"
    await settle()


async def test_an_attempt_that_is_cancelled_by_others_counts_as_failed(
    clock: ManualClock, attempts: Attempts, begin: Begin
) -> None:
    call = begin(_hedge(clock))
    await call.after(0.01)
    attempts.made[0].cancel()
    attempts.made[1].set_result("second")
    assert await call.task == "second"


async def test_at_the_deadline_all_attempts_are_cancelled(
    clock: ManualClock, attempts: Attempts, begin: Begin, settle: Settle
) -> None:
    call = begin(_hedge(clock), budget_s=0.1)
    await call.after(0.01)
    await call.after(0.09)
    with pytest.raises(DeadlineExceeded):
        await call.task
    await settle()
    assert attempts.cancelled == [0, 1]


async def test_no_attempt_is_made_after_the_deadline(clock: ManualClock) -> None:
    def attempt() -> asyncio.Future[str]:
        raise AssertionError

    with pytest.raises(DeadlineExceeded):
        await _hedge(clock).call(attempt, Deadline.after(0, clock))


async def test_who_is_cancelled_cancels_all_attempts(
    clock: ManualClock, attempts: Attempts, begin: Begin, settle: Settle
) -> None:
    tasks = asyncio.all_tasks()
    call = begin(_hedge(clock))
    await call.after(0.01)
    call.task.cancel()
    await settle()
    assert call.task.cancelled()
    assert attempts.cancelled == [0, 1]
    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize(
    ("conditions", "budget_s", "hedges"),
    [
        pytest.param({"tokens": 1}, 0.021, 1, id="all-conditions-met"),
        pytest.param({"tokens": 0.9}, 1.0, 0, id="no-token"),
        pytest.param({"room": False}, 1.0, 0, id="no-room"),
        pytest.param({}, 0.019, 0, id="less-than-the-delay-would-remain"),
        pytest.param({}, 0.01, 0, id="the-deadline-comes-first"),
    ],
)
async def test_a_second_attempt_needs_a_token_room_and_time(
    clock: ManualClock, attempts: Attempts, begin: Begin, *, conditions: dict[str, Any], budget_s: float, hedges: int
) -> None:
    hedge = _hedge(clock, **conditions)
    call = begin(hedge, budget_s)
    await call.after(0.01)
    assert (len(attempts.made), hedge.hedges) == (1 + hedges, hedges)
    await call.after(1.0)
    with pytest.raises(DeadlineExceeded):
        await call.task


async def test_no_call_is_hedged_before_latencies_are_known(
    clock: ManualClock, attempts: Attempts, begin: Begin
) -> None:
    hedge = Hedge(clock, TokenBudget(10, 0.05))
    call = begin(hedge)
    await call.after(0.9)
    attempts.made[0].set_result("first")
    assert await call.task == "first"
    assert len(attempts.made) == 1
    assert repr(hedge) == "<Hedge no delay yet, 0 hedges, 0 wins>"


async def test_the_delay_is_never_so_short_that_our_own_stalls_set_it_off(clock: ManualClock) -> None:
    assert _hedge(clock, delay_s=0.0001).delay_s == 0.005


async def test_only_successes_teach_the_delay_and_earn_tokens(clock: ManualClock) -> None:
    async def fail() -> str:
        raise ValueError("quick")

    async def succeed() -> str:
        return "answer"

    latencies, budget = RecentLatencies(), TokenBudget(10, 0.05, tokens=0)
    hedge = Hedge(clock, budget, latencies)
    with pytest.raises(ValueError, match="quick"):
        await hedge.call(fail, Deadline.after(1, clock))
    assert (repr(latencies)[-10:], repr(budget)[:17]) == ("0 samples>", "<TokenBudget 0.00")
    await hedge.call(succeed, Deadline.after(1, clock))
    assert (repr(latencies)[-10:], repr(budget)[:17]) == ("1 samples>", "<TokenBudget 0.05")
