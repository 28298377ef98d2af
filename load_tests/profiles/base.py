"""What a profile is, what it is told and what it hands back."""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Final

from load_tests.capacity import Capacity
from load_tests.objectives import Objective
from load_tests.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Options:
    """How a profile is to be run.

    Attributes:
        seed: Of arrivals, keys and faults.
        short: Seconds in place of minutes: shows that everything works, proves little.
        control: Run against the service broken in the profile's way; objectives must be missed.
    """

    seed: int = 1
    short: bool = False
    control: bool = False

    def seconds(self, full: float, short: float) -> float:
        """The length of a step: `full`, or `short` where that was asked for."""
        return short if self.short else full


@dataclass(frozen=True, slots=True)
class RatePoint:
    """What one offered rate came to.

    Attributes:
        offered: Arrivals per second.
        goodput: Good answers per second.
        p50_s: Median latency of the accepted, in seconds.
        p99_s: Their 99th percentile, in seconds.
        bound: Goodput that is asked for at this rate; None where nothing is.
    """

    offered: float
    goodput: float
    p50_s: float
    p99_s: float
    bound: float | None = None

    @classmethod
    def of(cls, outcome: Outcome, bound: float | None = None) -> "RatePoint":
        """The point of a run."""
        return cls(outcome.offered_rate, outcome.goodput, outcome.p(0.5), outcome.p(0.99), bound)


@dataclass(slots=True)
class Results:
    """What a profile found.

    Attributes:
        objectives: In the order in which they are told.
        runs: Runs to be drawn over time, by a phrase that says what they were.
        rates: Points to be drawn over the offered rate, by the route.
        facts: Figures that explain the others, by name.
    """

    objectives: list[Objective] = field(default_factory=list)
    runs: dict[str, Outcome] = field(default_factory=dict)
    rates: dict[str, list[RatePoint]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    def add_capacity(self, route: str, capacity: Capacity) -> None:
        """Keep the steps of a search, to be drawn."""
        self.facts[f"C ({route})"] = f"{capacity.rate:,.0f} requests/s"
        self.rates.setdefault(route, []).extend(RatePoint.of(outcome) for outcome in capacity.steps)


Run = Callable[[Options], Coroutine[None, None, Results]]


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile.

    Attributes:
        name: What it is called on the command line.
        summary: What it shows, in one sentence.
        control: How its negative control breaks the service, in one sentence.
        run: Runs it, starting whatever it needs.
        timed: Whether its objectives are about time; those that count only can be judged on any machine.
    """

    name: str
    summary: str
    control: str
    run: Run
    timed: bool = True


_NO_PROFILES: Final = frozenset({"base"})


def names() -> list[str]:
    """The names of all profiles, without importing them."""
    import load_tests.profiles as package  # noqa: PLC0415  # this module is part of it

    return sorted(
        module.name.replace("_", "-")
        for module in pkgutil.iter_modules(package.__path__)
        if module.name not in _NO_PROFILES
    )


def load(name: str) -> Profile:
    """The profile of this name.

    Raises:
        KeyError: There is none.
    """
    if name not in names():
        raise KeyError(name)
    profile: Profile = importlib.import_module(f"load_tests.profiles.{name.replace('-', '_')}").PROFILE
    return profile


def everything() -> Mapping[str, Profile]:
    """All profiles by name."""
    return {name: load(name) for name in names()}


def say(text: str) -> None:
    """Progress, for whoever waits."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
