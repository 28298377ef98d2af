"""Steady: what a well-sized service meets all day, 0.7 C of each route one after the other."""

from collections.abc import Iterator
from typing import Final

from load_tests.arrivals import poisson
from load_tests.bench import Bench
from load_tests.capacity import P99_BAR_S
from load_tests.objectives import Objective, at_least, at_most, none_of
from load_tests.outcome import Outcome
from load_tests.profiles.base import Options, Profile, RatePoint, Results, say
from load_tests.routes import COLD_DETAILED, WARM_SIMPLE, Route, measure_capacity, told

SHARE: Final = 0.7

_SLOW: Final = [{"kind": "latency", "ms": 100}]


async def run(options: Options) -> Results:
    """0.7 C on both routes, every answer checked."""
    results = Results()
    for route in (COLD_DETAILED, WARM_SIMPLE):
        capacity = await measure_capacity(route, options)
        results.add_capacity(route.name, capacity)
        async with route.bench(options.seed) as bench:
            await route.prepare(bench)
            if options.control:
                await _break(bench)
            outcome = await _steady(route, bench, SHARE * capacity.rate, options)
        results.runs[f"{route.name}, {SHARE:g} C"] = outcome
        results.rates[route.name].append(RatePoint.of(outcome))
        results.objectives += objectives(route.name, outcome)
    return results


async def _break(bench: Bench) -> None:
    await bench.faults(_SLOW)


async def _steady(route: Route, bench: Bench, rate: float, options: Options) -> Outcome:
    seconds = options.seconds(60, 5)
    outcome = await route.offer(bench, poisson(rate, seconds, options.seed), seconds, check_every=1)
    say(f"  {route.name}: {told(outcome)}")
    return outcome


def objectives(name: str, outcome: Outcome) -> Iterator[Objective]:
    """What 0.7 C must come to."""
    yield at_most(f"{name}: p99", outcome.p(0.99) * 1000, P99_BAR_S * 1000, "ms", runs=[outcome])
    yield at_most(f"{name}: errors", outcome.error_share * 100, 0.1, "%", runs=[outcome])
    yield at_least(
        f"{name}: goodput over offered", outcome.goodput / outcome.offered_rate * 100, 99.9, "%", runs=[outcome]
    )
    yield none_of(f"{name}: wrong answers", len(outcome.wrong), outcome.checked, runs=[outcome])


PROFILE: Final = Profile(
    name="steady",
    summary="0.7 of what the service can do, for a minute: every answer is right and in time",
    control="the store takes 100 ms more for each read, which no warm-up hides from new IDs",
    run=run,
)
