"""Batches of 10,000 IDs beside interactive load: neither kind of caller may starve the other."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Final

from load_tests.bench import WARM_TTL, Bench
from load_tests.checked import checked_load
from load_tests.closed_loop import Asked, ask_all
from load_tests.objectives import at_least, at_most, none_of
from load_tests.outcome import Outcome
from load_tests.pausing import paused_every
from load_tests.prober import probing
from load_tests.profiles.base import Options, Profile, Results, say
from load_tests.sizing import entities_for, rate_at, settings_for, warm

P99_BAR: Final = 2.0
STALL_BAR_S: Final = 0.020
BATCH_SIZE: Final = 10_000

_KIND: Final = "simple_warm"
_SHARE: Final = 0.5
_PAUSE_S: Final = 0.1


async def run(options: Options) -> Results:
    """Interactive load alone, then beside one batch after the other."""
    size = 500 if options.short else BATCH_SIZE
    seconds = options.seconds(30.0, 2.0)
    async with (
        Bench.start(
            entities=entities_for(options),
            seed=options.seed,
            ttl=WARM_TTL,
            batch_size=size,
            service_env=settings_for(options),
        ) as bench,
        AsyncExitStack() as stack,
    ):
        await warm(bench)  # so that batches cost the service its own work and not the store's
        rate = await rate_at(bench, _KIND, _SHARE, options)
        await warm(bench)
        alone, _ = await _interactive(bench, rate, seconds, options)
        if options.control:
            await stack.enter_async_context(paused_every(bench.service_pids, 1.0, _PAUSE_S))
        await warm(bench)  # rows are fresh for a minute
        batches = asyncio.create_task(_batches(bench, time.perf_counter() + seconds))
        beside, probes = await _interactive(bench, rate, seconds, options)
        asked = await batches
    results = Results(runs={"alone": alone, "beside batches": beside})
    results.facts["batches"] = f"{asked.statuses} in {asked.seconds:.1f} s"
    results.facts["probes of /livez"] = f"{len(probes)}, the longest {max(probes) * 1000:.1f} ms"
    results.objectives = [
        at_least("batches answered with 200", asked.answered, 1),
        none_of("batches that failed", asked.total - asked.answered, asked.total),
        none_of("interactive requests that failed", beside.errors, beside.offered, runs=[beside]),
        none_of("wrong answers", len(beside.wrong), beside.checked),
    ]
    if not options.short or options.control:
        ratio = beside.p(0.99) / alone.p(0.99)
        results.objectives += [
            at_most("interactive p99, beside batches / alone", ratio, P99_BAR, runs=[alone, beside]),
            at_most("longest stall of the event loop", max(probes) * 1000, STALL_BAR_S * 1000, "ms"),
        ]
    return results


async def _interactive(bench: Bench, rate: float, seconds: float, options: Options) -> tuple[Outcome, list[float]]:
    probes = asyncio.create_task(probing(bench.address[1], seconds))
    outcome = await checked_load(bench, _KIND, rate, seconds, options, check_every=5)
    say(f"interactive: {outcome.counts()}, p99 {outcome.p(0.99) * 1000:.1f} ms")
    return outcome, await probes


async def _batches(bench: Bench, until: float) -> Asked:
    """Batches, one after the other, the bytes of which are made before they are needed."""
    ready = [bench.request("batch", number) for number in range(4)]

    def requests() -> Iterator[bytes]:
        number = 0
        while time.perf_counter() < until:
            yield ready[number % len(ready)]
            number += 1

    return await ask_all(bench.address, requests(), 1)


PROFILE: Final = Profile(
    name="batch",
    summary="10,000-ID batches beside interactive load at 0.5 C: its p99 at most doubled, loop stalls of at most 20 ms",
    control="the service is stopped (SIGSTOP) for 100 ms of every second while batches run",
    run=run,
)
