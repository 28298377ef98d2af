"""What hedging gains and what it costs, in simulated time."""

import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from features.clock import ManualClock
from features.deadline import Deadline
from features.errors import DeadlineExceeded
from features.resilience.budget import TokenBudget
from features.resilience.hedging import Hedge

pytestmark = pytest.mark.anyio

Simulate = Callable[[Coroutine[Any, Any, None]], Awaitable[None]]
PassTime = Callable[[float], Awaitable[None]]


class Backend:
    """Answers after about 5 ms, or 500 ms for `slow_share` of its calls; counts them."""

    def __init__(self, pass_time: PassTime, chance: random.Random) -> None:
        self.slow_share = 0.01
        self.calls = 0
        self._pass_time = pass_time
        self._chance = chance

    def latency_s(self) -> float:
        slow = self._chance.random() < self.slow_share
        return (0.5 if slow else 0.005) * self._chance.lognormvariate(0, 0.2)

    async def __call__(self) -> None:
        self.calls += 1
        await self._pass_time(self.latency_s())


@pytest.fixture
def backend(pass_time: PassTime, chance: random.Random) -> Backend:
    return Backend(pass_time, chance)


@pytest.fixture
def hedge(clock: ManualClock) -> Hedge:
    return Hedge(clock, TokenBudget(10, 0.05, tokens=0))


def _p999(values: list[float]) -> float:
    return sorted(values)[int(0.999 * len(values))]


async def test_with_1_percent_of_calls_at_500_ms_the_tail_is_cut_to_a_fifth_for_5_percent_more_calls(
    clock: ManualClock, simulate: Simulate, backend: Backend, hedge: Hedge
) -> None:
    """The Tail at Scale reports p99.9 cut to 1/24 for 2 % more calls."""
    n = 10_000
    plain = [backend.latency_s() for _ in range(n)]
    hedged = []
    for _ in range(n):
        began_at = clock.monotonic()
        await simulate(hedge.call(backend, Deadline.after(5, clock)))
        hedged.append(clock.monotonic() - began_at)
    assert _p999(hedged) <= _p999(plain) / 5
    assert backend.calls == n + hedge.hedges
    assert hedge.hedges <= 0.05 * n
    assert hedge.wins >= 0.007 * n  # most of the 1 %


async def test_when_everything_slows_down_extra_calls_stay_within_5_percent(
    clock: ManualClock, simulate: Simulate, backend: Backend, hedge: Hedge
) -> None:
    for slow_share, n in ((0.01, 1_000), (1.0, 1_500)):
        backend.slow_share, backend.calls = slow_share, 0
        for _ in range(n):
            await simulate(hedge.call(backend, Deadline.after(5, clock)))
        assert backend.calls <= 1.05 * n


async def test_when_nothing_answers_hedging_stops(
    clock: ManualClock, simulate: Simulate, backend: Backend, hedge: Hedge
) -> None:
    for _ in range(1_000):
        await simulate(hedge.call(backend, Deadline.after(5, clock)))
    backend.slow_share, backend.calls = 1.0, 0
    for _ in range(500):
        with pytest.raises(DeadlineExceeded):
            await simulate(hedge.call(backend, Deadline.after(0.1, clock)))
    assert backend.calls <= 500 + 10
