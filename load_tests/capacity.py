"""Capacity: the highest rate that the service holds, found by trying; and what an answer and a refusal cost it.

C is what all other bars are stated in, so that they hold on any machine.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from load_tests.outcome import Outcome

P99_BAR_S: Final = 0.050
ERROR_BAR: Final = 0.001
"""What "held" means: p99 within 50 ms and errors under 0.1 %."""

_GROWTH: Final = 2.0
_BACK_OFF: Final = 0.95
_CONFIRMATIONS: Final = 8
_VOIDS: Final = 4

Offer = Callable[[float, float], Awaitable[Outcome]]
"""Offers a rate (per second) for a time (in seconds)."""


class NotMeasurable(RuntimeError):
    """No capacity could be found; the message says why."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What was found.

    Attributes:
        rate: C, in requests per second.
        confirmed: The run that held it.
        steps: Every rate that was tried.
    """

    rate: float
    confirmed: Outcome
    steps: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """How to look.

    Attributes:
        start: The first rate, per second; must be held.
        ceiling: The highest rate that is tried, per second.
        growing_s: Seconds per step while the rate grows: most of these are far below C, and prove nothing else.
        step_s: Seconds per step between a rate that is held and one that is not.
        confirm_s: Seconds for which C must be held.
        precision: How far apart, as a share, a rate that is held and one that is not may lie in the end.
    """

    start: float = 250.0
    ceiling: float = 32_000.0
    growing_s: float = 2.0
    step_s: float = 5.0
    confirm_s: float = 30.0
    precision: float = 0.04


def held(outcome: Outcome) -> bool:
    """Whether a rate was held."""
    return outcome.p(0.99) <= P99_BAR_S and outcome.error_share < ERROR_BAR


async def find_capacity(offer: Offer, search: Search | None = None) -> Capacity:
    """The highest rate that is held: grow until one is not, halve the gap, hold the result for long.

    Raises:
        NotMeasurable: The first rate is not held, the ceiling is, or the generator lags.
    """
    return await _Searching(offer, search or Search()).find()


@dataclass(slots=True)
class _Searching:
    """One search and the rates it has tried."""

    offer: Offer
    search: Search
    steps: list[Outcome] = field(default_factory=list)

    async def find(self) -> Capacity:
        low, high = await self._bracket()
        while high / low > 1 + self.search.precision:
            middle = (low * high) ** 0.5
            if await self._held(middle, self.search.step_s):
                low = middle
            else:
                high = middle
        return await self._confirm(low)

    async def _bracket(self) -> tuple[float, float]:
        """A rate that is held and one that is not."""
        low, high = 0.0, self.search.start
        while await self._held(high, self.search.growing_s):
            if high >= self.search.ceiling:
                raise NotMeasurable(f"{high:,.0f} requests/s are held, and more are not tried")
            low, high = high, min(high * _GROWTH, self.search.ceiling)
        if not low:
            raise NotMeasurable(f"not even {high:,.0f} requests/s are held: {_told(self.steps[-1])}")
        return low, high

    async def _confirm(self, rate: float) -> Capacity:
        for _ in range(_CONFIRMATIONS):
            if await self._held(rate, self.search.confirm_s, misses=1):
                return Capacity(rate, self.steps[-1], tuple(self.steps))
            rate *= _BACK_OFF
        raise NotMeasurable(f"no rate near {rate:,.0f} requests/s is held for {self.search.confirm_s:g} s")

    async def _held(self, rate: float, seconds: float, misses: int = 2) -> bool:
        """Whether a rate is held. A miss must happen twice in short steps: what comes once may be the machine's.

        Raises:
            NotMeasurable: The generator lagged again and again.
        """
        voids = 0
        while misses and voids < _VOIDS:
            outcome = await self.offer(rate, seconds)
            self.steps.append(outcome)
            if outcome.void is not None:
                voids += 1
            elif held(outcome):
                return True
            else:
                misses -= 1
        if voids == _VOIDS:
            raise NotMeasurable(f"at {rate:,.0f} requests/s, {voids} times: {self.steps[-1].void}")
        return False


def _told(outcome: Outcome) -> str:
    return f"p99 {outcome.p(0.99) * 1000:.0f} ms, {outcome.error_share:.1%} errors"


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds per answer and per refusal.

    Attributes:
        answer_s: Of an answer.
        refusal_s: Of a refusal; NaN if there were none.
    """

    answer_s: float
    refusal_s: float

    @property
    def rho(self) -> float:
        """A refusal's cost over an answer's."""
        return self.refusal_s / self.answer_s


def costs_by_difference(calm: Outcome, over: Outcome) -> Costs:
    """An answer costs what it does at C; what else was used under overload, refusals used.

    Under overload an answer may cost less than at C (more rows are read and scored together). Then this makes refusals
    cheaper than they are, for nothing at the least.
    """
    answer_s = calm.cpu_s / max(int(calm.accepted.sum()), 1)
    refusals = int(over.refused.sum())
    left_s = over.cpu_s - answer_s * int(over.accepted.sum())
    return Costs(answer_s, max(left_s / refusals, 0.0) if refusals else float("nan"))


def costs_by_regression(overloaded: Sequence[Outcome]) -> Costs:
    """Both costs as they are under overload: least squares over runs with different shares of refusals."""
    counts = np.array([[run.accepted.sum(), run.refused.sum()] for run in overloaded], dtype=np.float64)
    if not counts[:, 1].any():
        return Costs(float("nan"), float("nan"))
    (answer_s, refusal_s), *_ = np.linalg.lstsq(counts, np.array([run.cpu_s for run in overloaded]))
    return Costs(float(answer_s), max(float(refusal_s), 0.0))


def goodput_bound(capacity: float, k: float, rho: float) -> float:
    """Goodput that is asked for at k times the capacity.

    Of the CPU time that makes `capacity` answers, refusing the (k - 1) surplus takes the share (k - 1) rho; of what is
    left, 0.85 must become answers.
    """
    return max(0.85 * capacity * (1 - (k - 1) * rho), 0.0)
