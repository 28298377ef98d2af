"""Slow store: each read takes ten times as long for a while; requests wait longer, nobody is turned away."""

import asyncio
from collections.abc import Iterator
from typing import Final

from load_tests.arrivals import poisson
from load_tests.bench import Bench
from load_tests.objectives import Objective, at_least, at_most, none_of
from load_tests.outcome import Outcome
from load_tests.profiles.base import Options, Profile, Results, say
from load_tests.routes import COLD_DETAILED, DEADLINE_S, STORE_MS, measure_capacity, told

SHARE: Final = 0.5
TIMES: Final = 10
NORMAL_AGAIN: Final = 1.5
RECOVERY_S: Final = 2.0

_NARROW: Final = {"KEYSCORE_ADAPTIVE_LIMIT": "false", "KEYSCORE_MAX_IN_FLIGHT": "4"}


async def run(options: Options) -> Results:
    """Half of C of new IDs, with a slow stretch in the middle."""
    route, results = COLD_DETAILED, Results()
    capacity = await measure_capacity(route, options)
    results.add_capacity(route.name, capacity)
    calm, slow = options.seconds(10, 4), options.seconds(20, 6)
    seconds = calm + slow + RECOVERY_S + calm
    async with route.bench(options.seed, _NARROW if options.control else None) as bench:
        await route.prepare(bench)
        outcome, _ = await asyncio.gather(
            route.offer(bench, poisson(SHARE * capacity.rate, seconds, options.seed), seconds, check_every=5),
            _slow_down(bench, calm, slow),
        )
    say(f"  {told(outcome)}")
    results.runs[f"{route.name}, {SHARE:g} C, store {TIMES} times slower from {calm:g} s to {calm + slow:g} s"] = (
        outcome
    )
    results.objectives += objectives(
        outcome, outcome.part(1, calm), outcome.part(calm, calm + slow), outcome.part(calm + slow + RECOVERY_S, seconds)
    )
    return results


async def _slow_down(bench: Bench, after_s: float, for_s: float) -> None:
    """Reads take `TIMES` as long for a while, and then what they took before."""
    await asyncio.sleep(after_s)
    await bench.faults([{"kind": "latency", "ms": TIMES * STORE_MS}])
    await asyncio.sleep(for_s)
    await bench.faults([{"kind": "latency", "ms": STORE_MS}])


def objectives(whole: Outcome, before: Outcome, slow: Outcome, after: Outcome) -> Iterator[Objective]:
    """What the slow stretch, and the one after it, must come to."""
    yield at_least("goodput over offered while slow", slow.goodput / slow.offered_rate * 100, 99, "%", runs=[slow])
    yield at_most("accepted p99 while slow", slow.p(0.99) * 1000, DEADLINE_S * 1000, "ms", runs=[slow])
    bar_ms = NORMAL_AGAIN * before.p(0.99) * 1000
    yield at_most("p99 from 2 s after", after.p(0.99) * 1000, bar_ms, "ms", runs=[before, after])
    yield at_most("errors from 2 s after", after.error_share * 100, 0.1, "%", runs=[after])
    yield none_of("requests without any answer", whole.failures, whole.offered, runs=[whole])
    yield none_of("wrong answers", len(whole.wrong), whole.checked, runs=[whole])


PROFILE: Final = Profile(
    name="slow-store",
    summary="the store takes 50 ms instead of 5 ms for a while, at 0.5 C of new IDs: nobody is turned away",
    control="four requests at once are admitted, enough for a fast store and not for a slow one",
    run=run,
)
