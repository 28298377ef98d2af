"""Overload: more is asked of the service than it can do, and what it does must still be worth having.

For each route: find C, then offer 1.5 C, 2 C and 5 C, each between stretches of 0.5 C that say what normal is and
whether the service comes back to it.
"""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from load_tests.arrivals import poisson, stages
from load_tests.bench import Bench
from load_tests.capacity import Capacity, costs_by_difference, costs_by_regression, goodput_bound
from load_tests.generator import run_load
from load_tests.objectives import Objective, at_least, at_most, none_of
from load_tests.outcome import Outcome
from load_tests.profiles.base import Options, Profile, RatePoint, Results, say
from load_tests.routes import (
    COLD_DETAILED,
    DEADLINE_S,
    UNPROTECTED,
    WARM_SIMPLE,
    Route,
    measure_capacity,
    told,
    within_reach,
)

KS: Final = (1.5, 2.0, 5.0)

REFUSAL_P99_MS: Final = 20.0
RECOVERY_S: Final = 2.0
NORMAL_AGAIN: Final = 1.5
LIVENESS_P99_MS: Final = 250.0

_LIVEZ: Final = b"GET /livez HTTP/1.1\r\nHost: bench\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Overloaded:
    """One run at k C, in parts.

    Attributes:
        k: How many times C was offered.
        whole: All of it.
        before: The stretch at 0.5 C before.
        over: The stretch at k C.
        after: The stretch at 0.5 C from two seconds after it.
        liveness: What `/livez` answered during the stretch at k C.
    """

    k: float
    whole: Outcome
    before: Outcome
    over: Outcome
    after: Outcome
    liveness: Outcome


async def run(options: Options) -> Results:
    """Overload on both routes."""
    results = Results()
    for route in (COLD_DETAILED, await _warm(options, results)):
        capacity = await measure_capacity(route, options)
        results.add_capacity(route.name, capacity)
        async with route.bench(options.seed, UNPROTECTED if options.control else None) as bench:
            await route.prepare(bench)
            runs = [await _overload(route, bench, capacity.rate, k, options) for k in KS]
        _judge(route, capacity, runs, results)
    return results


async def _warm(options: Options, results: Results) -> Route:
    """The warm route, with requests of which the generator can send the most that is offered."""
    if options.short:
        return WARM_SIMPLE
    route, why = await within_reach(WARM_SIMPLE, max(KS), options)
    results.facts[f"IDs a request ({route.name})"] = why
    return route


async def _overload(route: Route, bench: Bench, capacity: float, k: float, options: Options) -> Overloaded:
    lead, calm, crowd = options.seconds(2, 1), options.seconds(8, 3), options.seconds(15, 5)
    begin, end = lead + calm, lead + calm + crowd
    seconds = end + RECOVERY_S + calm
    half = 0.5 * capacity
    times = stages([(half, begin), (k * capacity, crowd), (half, RECOVERY_S + calm)], options.seed)
    whole, liveness = await asyncio.gather(
        route.offer(bench, times, seconds),
        run_load(bench.address, lambda _: _LIVEZ, times=poisson(20, seconds, options.seed), seconds=seconds),
    )
    found = Overloaded(
        k,
        whole,
        before=whole.part(lead, begin),
        over=whole.part(begin, end),
        after=whole.part(end + RECOVERY_S, seconds),
        liveness=liveness.part(begin, end),
    )
    say(f"  {route.name} at {k:g} C: {told(found.over)}")
    return found


def _judge(route: Route, capacity: Capacity, runs: list[Overloaded], results: Results) -> None:
    over = [one.over for one in runs]
    found = {
        "by difference": costs_by_difference(capacity.confirmed, over[-1]),
        "by regression": costs_by_regression(over),
    }
    for way, costs in found.items():
        results.facts[f"cost of an answer and of a refusal, {way} ({route.name})"] = (
            f"{costs.answer_s * 1e6:,.0f} and {costs.refusal_s * 1e6:,.0f} us of CPU, ratio {costs.rho:.3f}"
        )
    # Two ways of measuring, neither of them perfect: the bars take whichever makes them harder to meet.
    low, high = sorted(costs.rho for costs in found.values())
    results.objectives.append(
        at_most(f"{route.name}: cost of a refusal over that of an answer", high, route.rho_bar, runs=over)
    )
    # No refusals took no time; and refusals that cost more than they may excuse no lower goodput.
    allowed = 0.0 if math.isnan(low) else min(low, route.rho_bar)
    for one in runs:
        bound = goodput_bound(capacity.rate, one.k, allowed)
        results.runs[f"{route.name}, {one.k:g} C between 0.5 C"] = one.whole
        results.rates[route.name].append(RatePoint.of(one.over, bound))
        results.objectives += objectives(f"{route.name}, {one.k:g} C", one, bound)


def objectives(name: str, one: Overloaded, bound: float) -> Iterator[Objective]:
    """What one run at k C must come to."""
    over, before, after = one.over, one.before, one.after
    yield at_least(f"{name}: goodput", over.goodput, bound, "/s", runs=[over])
    yield at_most(f"{name}: accepted p99", over.p(0.99) * 1000, DEADLINE_S * 1000, "ms", runs=[over])
    if over.refused.any():
        yield at_most(f"{name}: refusals p99", over.p(0.99, over.refused) * 1000, REFUSAL_P99_MS, "ms", runs=[over])
    yield none_of(f"{name}: wrong answers", len(one.whole.wrong), one.whole.checked, runs=[one.whole])
    yield at_most(
        f"{name}: p99 at 0.5 C from 2 s after",
        after.p(0.99) * 1000,
        before.p(0.99) * 1000 * NORMAL_AGAIN,
        "ms",
        runs=[before, after],
    )
    yield at_most(f"{name}: errors at 0.5 C from 2 s after", after.error_share * 100, 0.1, "%", runs=[after])
    live = one.liveness
    yield none_of(f"{name}: liveness failed", live.errors, live.offered, runs=[live])
    yield at_most(f"{name}: liveness p99", live.p(0.99) * 1000, LIVENESS_P99_MS, "ms", runs=[live])


PROFILE: Final = Profile(
    name="overload",
    summary="1.5, 2 and 5 times what the service can do: it does what it can, refuses the rest cheaply, and recovers",
    control="everything is admitted (no adaptive limit, 100,000 in flight)",
    run=run,
)
