"""How long a worker takes from nothing to ready, and what it holds once it has worked: the demo, with everything on."""

import time
from statistics import median
from typing import Final

import numpy as np

from load_tests.bench import Bench
from load_tests.benchmark.contenders import CONNECTIONS
from load_tests.benchmark.effort import Effort
from load_tests.benchmark.field import STORE_MS
from load_tests.benchmark.running import Part, Run
from load_tests.watching import sample

_START: Final = "start"
_MEMORY: Final = "memory"

_LOOK_EVERY_S: Final = 0.002
_BYTECODE: Final = {"PYTHONDONTWRITEBYTECODE": ""}
"""The first start, which is not counted, compiles what the others import."""


async def measure(run: Run) -> None:
    """Starts, then memory."""
    if _START in run.wanted:
        await _starts(run)
    if _MEMORY in run.wanted:
        await _memory(run)


async def _starts(run: Run) -> None:
    """From the process's creation to the first 200 of `/readyz`, on the demo, its store over gRPC, telemetry on."""
    settings = {**_BYTECODE, **await run.field.telemetry()}
    seconds: list[float] = []
    async with Bench.start(bundle=run.material.demo, latency_ms=STORE_MS, service_env=settings) as bench:
        for number in range(run.effort.starts):
            bench.services[0].kill()
            began = time.perf_counter()
            await bench.restart(look_every_s=_LOOK_EVERY_S)
            seconds.append(time.perf_counter() - began)
            run.progress.tell(f"ready after {seconds[-1]:.2f} s", (number + 1) / run.effort.starts)
    p95 = float(np.quantile(seconds, 0.95, method="inverted_cdf"))
    note = f"median {median(seconds):.2f} s of {len(seconds)} starts; demo, store over gRPC, telemetry on"
    run.book.add(_START, seconds, {"process start to ready, s": seconds}, figure=p95, note=note)


async def _memory(run: Run) -> None:
    demo, bench = await run.field.contender("demo"), await run.field.bench("demo")
    samples = []
    for _ in range(run.effort.repetitions):
        await demo.turn(CONNECTIONS, run.effort.seconds)
        samples.append(sample(bench.service_pids[0]).rss_mib * 2**20 / 1e6)
    rows = await _cached_rows(bench)
    run.book.add(
        _MEMORY,
        samples,
        {"resident memory, MB": samples},
        figure=max(samples),
        note=f"resident, of one process; demo, {rows:,.0f} rows in cache; the most seen",
    )


async def _cached_rows(bench: Bench) -> float:
    return sum(value for name, value in (await bench.metrics()).items() if name.startswith("keyscore_cache_rows"))


def _expected_s(effort: Effort, wanted: frozenset[str]) -> float:
    starts = 2 + effort.starts * 1.2 if _START in wanted else 0.0
    memory = 3 + effort.repetitions * (effort.seconds + 0.2) if _MEMORY in wanted else 0.0
    return starts + memory


PART: Final = Part("start and memory", frozenset({_START, _MEMORY}), _expected_s, measure)
