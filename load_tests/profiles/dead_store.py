"""Dead store: its port closes as a kill would close it, and opens again.

What is known goes on being served, with a flag once it is old; what is not is refused at once; and the first read works
within a second of the store's return.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from load_tests import bundles
from load_tests.asking import SIMPLE, ask
from load_tests.bench import Bench
from load_tests.bundles import plain_key
from load_tests.generator import Make, run_load
from load_tests.objectives import Objective, at_most, none_of
from load_tests.outcome import Outcome
from load_tests.profiles.base import Options, Profile, Results, say
from load_tests.routes import STORE_MS, WARM_SIMPLE, fill_cache, measure_capacity, told

SHARE: Final = 0.5
COLD_RATE: Final = 50.0
"""Requests per second for IDs that are not in the cache, beside the others."""

SLOWER: Final = 2.0
BACK_S: Final = 1.0
REFUSAL_P99_MS: Final = 20.0

KNOWN: Final = 2_000
"""Entities that are in the cache; few, so that their refreshes are not what the store is busy with."""

_ENTITIES: Final = 20_000
_TTL: Final = "5s"  # so that everything is stale early in the outage, and flagged ten seconds later
_FORGETFUL: Final = {"KEYSCORE_CACHE_ROWS": "1"}


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the store dies and returns, in seconds of the run."""

    down: float
    up: float
    seconds: float


async def run(options: Options) -> Results:
    """Half of C of known IDs, some new ones, and no store for a while."""
    results = Results()
    capacity = await measure_capacity(WARM_SIMPLE, options)
    results.add_capacity(WARM_SIMPLE.name, capacity)
    when = Schedule(10, 40, 50) if not options.short else Schedule(3, 9, 14)
    warm, cold = await _outage(SHARE * capacity.rate, when, options)
    say(f"  known: {told(warm)}\n  new: {told(cold)}")
    results.runs[f"known IDs, {SHARE:g} C, no store from {when.down:g} s to {when.up:g} s"] = warm
    results.runs["new IDs beside them"] = cold
    results.objectives += objectives(warm, cold, when)
    return results


async def _outage(rate: float, when: Schedule, options: Options) -> tuple[Outcome, Outcome]:
    served = bundles.plain(_ENTITIES, say, ttl=_TTL)
    environment = _FORGETFUL if options.control else None
    async with Bench.start(
        bundle=served, latency_ms=STORE_MS, service_env=environment, seed=options.seed, batch_size=500
    ) as bench:
        await fill_cache(bench, KNOWN)
        await run_load(bench.address, _known, rate=100, seconds=2)  # nothing is done for the first time any more
        warm, cold, _ = await asyncio.gather(
            _ask(bench, _known, rate, when, options.seed),
            _ask(bench, _new, COLD_RATE, when, options.seed + 1),
            _kill_store(bench, when),
        )
    return warm, cold


async def _ask(bench: Bench, make: Make, rate: float, when: Schedule, seed: int) -> Outcome:
    return await run_load(
        bench.address, make, rate=rate, seconds=when.seconds, seed=seed, check=bench.oracle.check, check_every=5
    )


def _known(number: int) -> bytes:
    return ask(SIMPLE, [plain_key(number % KNOWN)], f"known-{number}")


def _new(number: int) -> bytes:
    return ask(SIMPLE, [plain_key(KNOWN + number)], f"new-{number}")


async def _kill_store(bench: Bench, when: Schedule) -> None:
    await asyncio.sleep(when.down)
    await bench.serving(up=False)
    await asyncio.sleep(when.up - when.down)
    await bench.serving(up=True)


def objectives(warm: Outcome, cold: Outcome, when: Schedule) -> Iterator[Objective]:
    """What known IDs, new IDs and the return must come to."""
    before, dead = warm.part(1, when.down), warm.part(when.down, when.up)
    new = cold.part(when.down + 1, when.up)
    yield none_of("known IDs not served while the store is dead", dead.errors, dead.offered, runs=[dead])
    bar_ms = SLOWER * before.p(0.99) * 1000
    yield at_most("known IDs: p99 while the store is dead", dead.p(0.99) * 1000, bar_ms, "ms", runs=[before, dead])
    refused_ms = new.p(0.99, new.refused) * 1000
    yield at_most("new IDs: refusals p99 while the store is dead", refused_ms, REFUSAL_P99_MS, "ms", runs=[new])
    yield none_of("new IDs: neither served nor refused with 503", _neither(new), new.offered, runs=[new])
    yield at_most(
        "first new ID served after the store's return", served_again_s(cold, when.up), BACK_S, "s", runs=[cold]
    )
    yield none_of("wrong or unflagged answers", len(warm.wrong) + len(cold.wrong), warm.checked + cold.checked)


def _neither(outcome: Outcome) -> int:
    return int((~outcome.accepted & ~outcome.refused).sum())


def served_again_s(cold: Outcome, up_s: float) -> float:
    """Seconds from the store's return to the end of the first answer of 200; infinite if there is none."""
    later = cold.accepted & (cold.intended >= up_s)
    return float(np.min(cold.intended[later] + cold.latency[later])) - up_s if later.any() else float("inf")


PROFILE: Final = Profile(
    name="dead-store",
    summary="the store is gone for half a minute: known IDs are served from stale rows, new ones refused at once, and "
    "reads work 1 s after its return",
    control="the cache keeps one row, so there is nothing to fall back on",
    run=run,
)
