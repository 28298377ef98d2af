"""Files: payments of the demo over CatBoost alone, and IDs each of which has to be read from a store that takes 5 ms.

A job is `keyscore batch`, from the creation of its process to its end; what a job of one row takes, which is nearly all
start, is told beside it.
"""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from load_tests import processes
from load_tests.asking import CHANNELS
from load_tests.bench import LOGS, TELEMETRY_OFF, Bench
from load_tests.benchmark.book import Soundness
from load_tests.benchmark.companion import companion
from load_tests.benchmark.effort import Effort
from load_tests.benchmark.field import STORE_MS
from load_tests.benchmark.running import Part, Run
from load_tests.bundles import plain_key
from load_tests.capacity import NotMeasurable
from load_tests.oracle import Oracle, close
from load_tests.processes import SERVICE_CORE, keyscore

_DEMO: Final = "offline-demo"
_EMULATOR: Final = "offline-emulator"
_ALONE_ROWS: Final = 100_000
"""Rows that CatBoost alone is timed with: those of the file's beginning."""
_CHECKED_ROWS: Final = 1_000
_PREDICTIONS: Final = 3
_LOOK_EVERY_S: Final = 0.01
_HIGH_WATER: Final = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_LOG: Final = LOGS / "batch.log"


class _Job(NamedTuple):
    """One run of `keyscore batch`."""

    seconds: float
    peak_mb: float


async def measure(run: Run) -> None:
    """A file of payments, then a file of IDs."""
    if _DEMO in run.wanted:
        await _payments(run)
    if _EMULATOR in run.wanted:
        await _distinct(run)


async def _payments(run: Run) -> None:
    served, rows = run.material.original, run.effort.file
    environment = {"KEYSCORE_BUNDLE": str(served.bundle), "KEYSCORE_SQLITE_PATH": str(served.store)}
    async with Bench.start(bundle=served, store="sqlite", service_env=TELEMETRY_OFF) as bench:
        table, oracle = _drawn(bench.asker.customers, bench.asker.merchants, rows), bench.oracle
    source, target = _written(run, _DEMO, table), run.scratch / "scored.parquet"
    await _check(run, table.slice(0, _CHECKED_ROWS), oracle, environment)
    ready = run.scratch / "ready.npz"
    numbers, words = oracle.tables_of(table.slice(0, _ALONE_ROWS).to_pylist())
    np.savez(ready, numbers=numbers[None], words=words[None].astype(np.bytes_))
    jobs, alone = list[_Job](), list[float]()
    async with AsyncExitStack() as stack:
        ask = await stack.enter_async_context(
            companion("load_tests.baselines.catboost_alone", served.bundle / "model.cbm", ready)
        )
        for turn in range(run.effort.repetitions + 1):
            job, seconds = await _job(source, target, environment), await ask(_PREDICTIONS)
            _complete(target, rows)
            if turn:
                jobs.append(job)
                alone.append(len(numbers) / median(seconds))
                told = f"{rows / job.seconds:,.0f} rows/s beside {alone[-1]:,.0f}"
                run.progress.tell(told, turn / run.effort.repetitions / 2)
    start = await _job(_written(run, "one", table.slice(0, 1)), target, environment)
    ours = [rows / job.seconds for job in jobs]
    run.book.add(
        _DEMO,
        [mine / theirs for mine, theirs in zip(ours, alone, strict=True)],
        {"rows/s": ours, "CatBoost alone, rows/s": alone, "one row, s": [start.seconds]},
        note=f"{rows:,} rows from Parquet to Parquet; {_peak(jobs)}",
    )


async def _distinct(run: Run) -> None:
    keys = list(map(plain_key, range(run.effort.warm + run.effort.cold)))
    table, target = pa.table({"entity_id": keys}), run.scratch / "scored.parquet"
    source, one = _written(run, _EMULATOR, table), _written(run, "one", table.slice(0, 1))
    jobs, starts = list[_Job](), list[_Job]()
    async with Bench.start(bundle=run.material.plain, latency_ms=STORE_MS, service_env=TELEMETRY_OFF) as bench:
        await _check(run, table.slice(0, _CHECKED_ROWS), bench.oracle, bench.environment)
        for turn in range(run.effort.repetitions + 1):
            job = await _job(source, target, bench.environment, core=SERVICE_CORE)
            _complete(target, len(keys))
            start = await _job(one, target, bench.environment, core=SERVICE_CORE)
            if turn:
                jobs.append(job)
                starts.append(start)
                told = f"{len(keys):,} IDs in {job.seconds:.1f} s, one in {start.seconds:.1f} s"
                run.progress.tell(told, 0.5 + turn / run.effort.repetitions / 2)
    run.book.add(
        _EMULATOR,
        [(len(keys) - 1) / (job.seconds - start.seconds) for job, start in zip(jobs, starts, strict=True)],
        {"job, s": [job.seconds for job in jobs], "one row, s": [start.seconds for start in starts]},
        note=f"{len(keys):,} rows beyond the first, on one core; {_peak(jobs)}",
    )


def _drawn(customers: Sequence[str], merchants: Sequence[str], rows: int) -> Any:
    """Payments like those that the service is asked about, all alike likely."""
    dice = np.random.default_rng(1)
    texts = {"customer_id": customers, "merchant_id": merchants, "channel": CHANNELS}
    drawn = {name: np.array(known)[dice.integers(0, len(known), rows)] for name, known in texts.items()}
    return pa.table({**drawn, "amount": dice.lognormal(3.5, 1.0, rows).round(2)})


def _written(run: Run, name: str, table: Any) -> Path:
    path = run.scratch / f"{name}.parquet"
    pq.write_table(table, path)
    return path


async def _job(source: Path, target: Path, environment: Mapping[str, str], core: int | None = None) -> _Job:
    """Scores a file.

    Raises:
        NotMeasurable: The job failed.
    """
    _gone(target)
    began = time.perf_counter()
    child = processes.start(
        "keyscore batch", keyscore("batch", str(source), str(target)), log=_LOG, core=core, environment=environment
    )
    try:
        peak_mb, ending = 0.0, asyncio.create_task(asyncio.to_thread(child.popen.wait))
        while not (await asyncio.wait([ending], timeout=_LOOK_EVERY_S))[0]:
            peak_mb = max(peak_mb, _most_resident_mb(child.pid))
        seconds = time.perf_counter() - began
    finally:
        child.kill()
    if ending.result():
        raise NotMeasurable(f"keyscore batch ended with exit code {ending.result()}:\n{child.last_words()}")
    return _Job(seconds, peak_mb)


def _gone(path: Path) -> None:
    path.unlink(missing_ok=True)


def _most_resident_mb(pid: int) -> float:
    """The most memory that has been resident so far; what `getrusage` tells of a child counts from our own size."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:  # no such process any more, or no such file system
        return 0.0
    found = _HIGH_WATER.search(status)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def _peak(jobs: Sequence[_Job]) -> str:
    return f"at most {max(job.peak_mb for job in jobs):.0f} MB resident"


def _complete(target: Path, rows: int) -> None:
    found = pq.read_metadata(target).num_rows
    if found != rows:
        raise NotMeasurable(f"keyscore batch wrote {found:,} of {rows:,} rows")


async def _check(run: Run, table: Any, oracle: Oracle, environment: Mapping[str, str]) -> None:
    """Scores some rows and looks at the scores one by one."""
    sound = run.book.sound.setdefault("files", Soundness())
    target = run.scratch / "checked.jsonl"
    await _job(_written(run, "checked", table), target, environment)
    lines = [orjson.loads(line) for line in target.read_bytes().splitlines()]
    instances = table.to_pylist()
    if len(lines) != len(instances):
        raise NotMeasurable(f"keyscore batch wrote {len(lines):,} of {len(instances):,} lines")
    for instance, line, expected in zip(instances, lines, oracle.scores_of(instances), strict=True):
        sound.answers += 1
        sound.checked += 1
        if not close(line["prediction"], expected):
            sound.wrong.append(f"{instance}: scores {line['prediction']}, not {expected}")


def _expected_s(effort: Effort, wanted: frozenset[str]) -> float:
    turns = effort.repetitions + 1
    each_s = {_DEMO: 1.5 + effort.file / 500_000, _EMULATOR: 3 + (effort.warm + effort.cold) / 20_000}
    return 10 + turns * sum(each_s[name] for name in wanted)


PART: Final = Part("files", frozenset({_DEMO, _EMULATOR}), _expected_s, measure)
