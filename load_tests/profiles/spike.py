"""Spike: normal load, with a burst of twice the capacity now and then, as sales and retries make them."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from load_tests.arrivals import stages
from load_tests.objectives import Objective, at_most, none_of
from load_tests.outcome import Floats, Outcome, quantile
from load_tests.profiles.base import Options, Profile, Results, say
from load_tests.routes import COLD_DETAILED, DEADLINE_S, UNPROTECTED, measure_capacity, told

BASE: Final = 0.4
PEAK: Final = 2.0
"""Shares of C."""

CALM_S: Final = 8.0
SPIKE_S: Final = 2.0
RECOVERY_S: Final = 2.0
NORMAL_AGAIN: Final = 1.5


async def run(options: Options) -> Results:
    """Spikes on the cold detailed route."""
    route, results = COLD_DETAILED, Results()
    capacity = await measure_capacity(route, options)
    results.add_capacity(route.name, capacity)
    spikes = 2 if options.short else 6
    calm, spike = (BASE * capacity.rate, CALM_S), (PEAK * capacity.rate, SPIKE_S)
    plan = [calm, *[spike, calm] * spikes]
    seconds = sum(length for _, length in plan)
    async with route.bench(options.seed, UNPROTECTED if options.control else None) as bench:
        await route.prepare(bench)
        outcome = await route.offer(bench, stages(plan, options.seed), seconds, check_every=5)
    say(f"  {told(outcome)}")
    results.runs[f"{route.name}, spikes of {PEAK:g} C on {BASE:g} C"] = outcome
    results.objectives += objectives(outcome)
    return results


def objectives(outcome: Outcome) -> Iterator[Objective]:
    """What the spikes, and the calm from two seconds after each, must come to."""
    since_calm = (outcome.intended - CALM_S) % (CALM_S + SPIKE_S) - SPIKE_S  # below zero during a spike
    first = outcome.intended < CALM_S
    spiking = ~first & (since_calm < 0)
    recovered = ~first & (since_calm >= RECOVERY_S)
    before_ms = _p99_ms(outcome.latency, first & outcome.accepted)
    after_ms = _p99_ms(outcome.latency, recovered & outcome.accepted)
    errors = float(np.mean(~outcome.accepted[recovered])) * 100
    runs = [outcome]
    yield at_most("p99 from 2 s after a spike", after_ms, NORMAL_AGAIN * before_ms, "ms", runs=runs)
    yield at_most("errors from 2 s after a spike", errors, 0.1, "%", runs=runs)
    accepted_ms = _p99_ms(outcome.latency, spiking & outcome.accepted)
    yield at_most("accepted p99 during spikes", accepted_ms, DEADLINE_S * 1000, "ms", runs=runs)
    if outcome.refused.any():
        yield at_most("refusals p99", _p99_ms(outcome.latency, outcome.refused), 20, "ms", runs=runs)
    yield none_of("requests without any answer", outcome.failures, outcome.offered, runs=runs)
    yield none_of("wrong answers", len(outcome.wrong), outcome.checked, runs=runs)


def _p99_ms(latency: Floats, which: "np.typing.NDArray[np.bool_]") -> float:
    return quantile(latency[which], 0.99) * 1000


PROFILE: Final = Profile(
    name="spike",
    summary="bursts of 2 C on a calm of 0.4 C: each is absorbed or refused, and forgotten 2 s later",
    control="everything is admitted (no adaptive limit, 100,000 in flight)",
    run=run,
)
