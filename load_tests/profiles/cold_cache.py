"""Cold cache: a new instance gets its share of the traffic at once, with nothing in its cache."""

from collections.abc import Iterator
from typing import Final

from load_tests.arrivals import poisson
from load_tests.objectives import Objective, at_least, at_most, none_of
from load_tests.outcome import Outcome
from load_tests.profiles.base import Options, Profile, Results, say
from load_tests.routes import DEADLINE_S, WARM_SIMPLE, measure_capacity, told

SHARE: Final = 0.8
WARM_AFTER_S: Final = 10.0
GOOD_SHARE: Final = 0.9

_FORGETFUL: Final = {"KEYSCORE_CACHE_ROWS": "1"}


async def run(options: Options) -> Results:
    """0.8 C of the warm route, offered to a service that has just started."""
    results = Results()
    capacity = await measure_capacity(WARM_SIMPLE, options)
    results.add_capacity(WARM_SIMPLE.name, capacity)
    seconds = WARM_AFTER_S + options.seconds(20, 3)
    async with WARM_SIMPLE.bench(options.seed, _FORGETFUL if options.control else None) as bench:
        times = poisson(SHARE * capacity.rate, seconds, options.seed)
        outcome = await WARM_SIMPLE.offer(bench, times, seconds, check_every=5)
    say(f"  {told(outcome)}")
    results.runs[f"cold start at {SHARE:g} C"] = outcome
    results.objectives += objectives(outcome)
    return results


def objectives(outcome: Outcome) -> Iterator[Objective]:
    """What the start, and the time after its first ten seconds, must come to."""
    warm = outcome.part(WARM_AFTER_S, outcome.seconds)
    good = warm.goodput / warm.offered_rate * 100
    yield at_least("goodput over offered from 10 s after the start", good, GOOD_SHARE * 100, "%", runs=[outcome])
    yield at_most("accepted p99 from the start on", outcome.p(0.99) * 1000, DEADLINE_S * 1000, "ms", runs=[outcome])
    if outcome.refused.any():
        refused_ms = outcome.p(0.99, outcome.refused) * 1000
        yield at_most("refusals p99", refused_ms, 20, "ms", runs=[outcome])
    yield none_of("requests without any answer", outcome.failures, outcome.offered, runs=[outcome])
    yield none_of("wrong answers", len(outcome.wrong), outcome.checked, runs=[outcome])


PROFILE: Final = Profile(
    name="cold-cache",
    summary="a service that has just started gets 0.8 C at once: ten seconds later it answers nine in ten in time",
    control="the cache keeps one row, so it never gets warm",
    run=run,
)
