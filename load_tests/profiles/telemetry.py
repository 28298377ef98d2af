"""Telemetry: what watches the service must not slow it down, least of all when it fails itself.

First the collector answers nothing and nobody reads stdout, while every request is logged; then, with everything in
order, the throughput with telemetry is held to that without.
"""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from statistics import median
from typing import Final

from load_tests.bench import TELEMETRY_OFF, WARM_TTL, Bench
from load_tests.checked import checked_load
from load_tests.closed_loop import throughput
from load_tests.holes import black_holed_collector, live_collector, stalled_pipe
from load_tests.objectives import at_least, at_most, none_of
from load_tests.outcome import Outcome
from load_tests.pausing import paused_every
from load_tests.processes import exchange
from load_tests.profiles.base import Options, Profile, Results, say
from load_tests.sizing import entities_for, rate_at, settings_for, warm

P99_BAR: Final = 1.2
THROUGHPUT_BAR: Final = 0.9
DROPPED: Final = "keyscore_telemetry_dropped_total"

_KIND: Final = "simple_warm"
_SHARE: Final = 0.5
_CALLERS: Final = 64
_TURNS: Final = 6
_EVERYTHING: Final = {
    "KEYSCORE_ACCESS_LOG": "all",
    "KEYSCORE_LOG_FORMAT": "json",
    "KEYSCORE_TRACE_RATIO": "1",
    "KEYSCORE_STAGE_SAMPLING": "1",
}


async def run(options: Options) -> Results:
    """Both parts."""
    results = Results()
    await _holes(options, results)
    await _throughput(options, results)
    return results


async def _holes(options: Options, results: Results) -> None:
    """The same load with telemetry in order, and with nowhere to go."""
    seconds = options.seconds(30.0, 1.0)
    logged = {"KEYSCORE_ACCESS_LOG": "all", "KEYSCORE_LOG_FORMAT": "json", "KEYSCORE_METRICS_INTERVAL_S": "2"}
    chosen, entities = settings_for(options, logged), entities_for(options)
    async with (
        live_collector() as url,
        Bench.start(
            entities=entities,
            seed=options.seed,
            ttl=WARM_TTL,
            service_env={**chosen, "KEYSCORE_OTLP_ENDPOINT": url},
        ) as bench,
    ):
        await warm(bench)
        rate = await rate_at(bench, _KIND, _SHARE, options)
        await warm(bench)
        well = await _load(bench, rate, seconds, options)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(black_holed_collector())
        pipe = stack.enter_context(stalled_pipe())
        bench = await stack.enter_async_context(
            Bench.start(
                entities=entities,
                seed=options.seed,
                ttl=WARM_TTL,
                service_env={**chosen, "KEYSCORE_OTLP_ENDPOINT": url},
                stdout=pipe,
            )
        )
        await warm(bench)
        await _load(bench, rate, options.seconds(1.0, 0.5), options)  # the pipe is full from here on
        if options.control:
            await stack.enter_async_context(paused_every(bench.service_pids, 1.0, 0.1))
        stalled = await _load(bench, rate, seconds, options)
        dropped = sum(value for name, value in (await bench.metrics()).items() if name.startswith(DROPPED))
    results.runs |= {"telemetry in order": well, "nowhere to go": stalled}
    results.objectives += [
        none_of("requests that failed with nowhere to go", stalled.errors, stalled.offered, runs=[stalled]),
        none_of("wrong answers", len(stalled.wrong), stalled.checked),
    ]
    results.facts["drops counted in /metrics"] = f"{dropped:,.0f}"
    if not options.short or options.control:  # a short run fits into what the service may keep in memory
        results.objectives.append(at_least("drops counted in /metrics", dropped, 1))
        ratio = stalled.p(0.99) / well.p(0.99)
        results.objectives.append(at_most("p99, nowhere to go / in order", ratio, P99_BAR, runs=[well, stalled]))


async def _load(bench: Bench, rate: float, seconds: float, options: Options) -> Outcome:
    outcome = await checked_load(bench, _KIND, rate, seconds, options)
    say(f"{outcome.counts()}, p99 {outcome.p(0.99) * 1000:.1f} ms")
    return outcome


async def _throughput(options: Options, results: Results) -> None:
    """Two services take turns, so that a machine that slows down slows both."""
    seconds = options.seconds(8.0, 0.2)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(live_collector())
        on = {"KEYSCORE_OTLP_ENDPOINT": url, **(_EVERYTHING if options.control else {})}
        benches = {
            name: await stack.enter_async_context(
                Bench.start(
                    entities=entities_for(options),
                    store="sqlite",
                    seed=options.seed,
                    service_env=settings_for(options, chosen),
                )
            )
            for name, chosen in (("on", on), ("off", TELEMETRY_OFF))
        }
        found: dict[str, list[float]] = {"on": [], "off": []}
        for turn in range(-1, 1 if options.short else _TURNS):
            for name, bench in benches.items():
                scraping = asyncio.create_task(exchange(bench.address[1], b"GET /metrics HTTP/1.1"))
                per_s = await throughput(bench.address, partial(bench.request, _KIND), _CALLERS, seconds)
                await scraping
                if turn >= 0:  # the one before fills the cache
                    found[name].append(per_s)
            say(f"turn {turn}: " + ", ".join(f"{name} {rates[-1]:,.0f}/s" for name, rates in found.items() if rates))
    for name, rates in found.items():
        results.facts[f"throughput, telemetry {name}"] = ", ".join(f"{rate:,.0f}" for rate in rates) + " requests/s"
    ratio = median(one / other for one, other in zip(found["on"], found["off"], strict=True))
    if not options.short or options.control:
        results.objectives.append(at_least("throughput, telemetry on / off", ratio, THROUGHPUT_BAR))


PROFILE: Final = Profile(
    name="telemetry",
    summary="collector black-holed, stdout stalled: p99 at most 1.2 times, drops counted; on / off at least 0.9",
    control="the service is stopped for 100 ms of every second meanwhile; then every request is traced and logged",
    run=run,
)
