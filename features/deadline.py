"""A deadline: the instant after which an answer is worth nothing.

It is an argument of every function that may wait, never ambient: what is handed down is the instant, so a stage
that starts late has less time, and nothing restarts the budget.
"""

from dataclasses import dataclass
from typing import Self

from features.clock import Clock


@dataclass(slots=True)
class Deadline:
    """An instant on the monotonic clock. Nobody changes one; it is not frozen because that doubles what it costs.

    Attributes:
        at: The instant, in seconds of `clock.monotonic()`.
        clock: The clock that `at` belongs to.
    """

    at: float
    clock: Clock

    @classmethod
    def after(cls, budget_s: float, clock: Clock) -> Self:
        """The deadline `budget_s` seconds from now."""
        return cls(clock.monotonic() + budget_s, clock)

    @property
    def remaining_s(self) -> float:
        """Seconds left; 0 when it has passed, never negative."""
        return max(0.0, self.at - self.clock.monotonic())

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.clock.monotonic() >= self.at

    def sooner(self, at: float) -> Self:
        """This deadline or the instant `at`, whichever comes first."""
        return self if self.at <= at else type(self)(at, self.clock)
