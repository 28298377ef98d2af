"""Soak: hours, or as many minutes as there are, at 0.6 C with a store that is not well: nothing may pile up.

`LOAD_SOAK_MINUTES` says how long (8 if unset). The cache is small, so that it is full within the first part of the run
and every further row displaces one.
"""

import os
from collections.abc import Iterator
from typing import Final

from load_tests.bench import Bench
from load_tests.checked import checked_load
from load_tests.objectives import Objective, at_most, none_of
from load_tests.profiles.base import Options, Profile, Results, say
from load_tests.sizing import entities_for, rate_at, settings_for
from load_tests.watching import Sample, slope_per_hour, watched

SLOPE_BAR_MIB_PER_HOUR: Final = 2.0
GROWTH_BAR_MIB: Final = 3.0
"""Of runs below an hour, in which 2 MiB per hour drown in the noise of an allocator."""
FLAT_DESCRIPTORS: Final = 8
FLAT_THREADS: Final = 2

_KIND: Final = "simple_cold"
_SHARE: Final = 0.6
_ENTITIES: Final = 100_000
_CACHE_ROWS: Final = 5_000
_SHORT_CACHE_ROWS: Final = 50
_SETTLED: Final = 0.5
_HOUR_S: Final = 3600.0
_FAULTS: Final = (
    {"kind": "latency", "ms": 2, "jitter_ms": 3, "tail_share": 0.005, "tail_ms": 150},
    {"kind": "error", "code": "UNAVAILABLE", "share": 0.005},
    {"kind": "reset", "share": 0.0005},
)


async def run(options: Options) -> Results:
    """The load, with samples of the service taken all the while."""
    rows = _SHORT_CACHE_ROWS if options.short else _CACHE_ROWS
    seconds = options.seconds(float(os.environ.get("LOAD_SOAK_MINUTES", "8")) * 60, 3.0)
    settings = {"KEYSCORE_CACHE_ROWS": "10000000" if options.control else str(rows)}
    async with Bench.start(
        entities=entities_for(options, _ENTITIES),
        latency_ms=2,
        seed=options.seed,
        service_env=settings_for(options, settings),
    ) as bench:
        rate = await rate_at(bench, _KIND, _SHARE, options)
        await bench.faults(_FAULTS)
        say(f"{seconds / 60:.1f} minutes at {rate:,.0f} requests/s")
        async with watched(bench.service_pids[0], max(seconds / 200, 0.25)) as samples:
            outcome = await checked_load(bench, _KIND, rate, seconds, options, check_every=7)
        cached = max(value for name, value in (await bench.metrics()).items() if name.startswith("keyscore_cache_rows"))
    results = Results(runs={"soak": outcome})
    late = samples[int(len(samples) * _SETTLED) :]
    results.facts["answers"] = str(outcome.counts())
    results.facts["memory"] = ", ".join(f"{one.rss_mib:.1f}" for one in samples[:: max(1, len(samples) // 20)]) + " MiB"
    results.objectives = [
        none_of("wrong answers", len(outcome.wrong), outcome.checked),
        at_most("errors", outcome.error_share, 0.01, runs=[outcome]),
        at_most("rows in cache at the end", cached, rows),
    ]
    if not options.short:  # seconds after its start a process still grows
        results.objectives += growth(late, seconds)
    return results


def growth(late: list[Sample], seconds: float) -> Iterator[Objective]:
    """What must stay flat from the middle of a run of so many seconds on."""
    yield at_most("growth of open descriptors", late[-1].descriptors - late[0].descriptors, FLAT_DESCRIPTORS)
    yield at_most("growth of threads", late[-1].threads - late[0].threads, FLAT_THREADS)
    yield _memory(late, seconds)


def _memory(late: list[Sample], seconds: float) -> Objective:
    slope = slope_per_hour(late)
    if seconds >= _HOUR_S:
        return at_most("growth of memory, second half", slope, SLOPE_BAR_MIB_PER_HOUR, "MiB/h")
    growth = slope * (late[-1].at_s - late[0].at_s) / _HOUR_S
    return at_most("growth of memory, second half", growth, GROWTH_BAR_MIB, "MiB")


PROFILE: Final = Profile(
    name="soak",
    summary="0.6 C for LOAD_SOAK_MINUTES (8) with a faulty store: memory, descriptors and threads stay flat",
    control="KEYSCORE_CACHE_ROWS=10000000: every row stays",
    run=run,
)
