"""Objectives: what a run must come to, as a figure against a bar that was stated before.

An objective knows the runs that its figure was taken from, since a run that proves nothing makes its figures worthless.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from load_tests.outcome import Outcome

Sense = Literal["<=", ">="]


@dataclass(frozen=True, slots=True)
class Objective:
    """A figure and its bar.

    Attributes:
        name: What is measured, in a phrase.
        figure: What came out; NaN if nothing could be measured.
        sense: On which side of the bar it must be.
        bar: The bar.
        unit: Of both.
        of: Of how many events the figure is a count; None if it is no count.
        void: Why the figure proves nothing, if so.
        eased: Why it proves nothing if it passes, if so: the service had it easier than stated.
    """

    name: str
    figure: float
    sense: Sense
    bar: float
    unit: str = ""
    of: int | None = None
    void: str | None = None
    eased: str | None = None

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side of the bar; NaN is on none."""
        return self.figure <= self.bar if self.sense == "<=" else self.figure >= self.bar

    @property
    def upper_bound(self) -> float | None:
        """For a count of zero: the rate that is not exceeded, at 95 % confidence.

        Source: the rule of three; no event in n trials bounds its rate by 3/n.
        """
        return 3 / self.of if self.of and self.figure == 0 else None


def at_most(name: str, figure: float, bar: float, unit: str = "", *, runs: Iterable[Outcome] = ()) -> Objective:
    """The figure may not be above the bar."""
    return _judged_by(runs, Objective(name, figure, "<=", bar, unit))


def at_least(name: str, figure: float, bar: float, unit: str = "", *, runs: Iterable[Outcome] = ()) -> Objective:
    """The figure may not be below the bar."""
    return _judged_by(runs, Objective(name, figure, ">=", bar, unit))


def none_of(name: str, count: int, of: int, *, bar: int = 0, runs: Iterable[Outcome] = ()) -> Objective:
    """Of so many events not one may be of this kind (or no more than `bar`)."""
    void = None if of else "nothing was counted"
    return _judged_by(runs, Objective(name, count, "<=", bar, of=of, void=void))


def impossible(name: str, reason: str) -> Objective:
    """An objective that could not be measured at all."""
    return Objective(name, math.nan, "<=", math.nan, void=reason)


def _judged_by(runs: Iterable[Outcome], objective: Objective) -> Objective:
    taken = list(runs)
    reasons = [run.void for run in taken if run.void]
    eased = [run.eased for run in taken if run.eased]
    return replace(objective, void=next(iter(reasons), objective.void), eased=next(iter(eased), None))
