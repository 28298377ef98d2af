"""What a process holds while it is under load: memory, file descriptors, threads."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import numpy as np
import psutil

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """A process and its workers at one moment.

    Attributes:
        at_s: By the monotonic clock.
        rss_mib: Resident memory.
        descriptors: Open files and sockets.
        threads: Threads.
    """

    at_s: float
    rss_mib: float
    descriptors: int
    threads: int


def sample(pid: int) -> Sample:
    """What a process and its workers hold now."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return Sample(
        time.monotonic(),
        sum(one.memory_info().rss for one in family) / MIB,
        sum(one.num_fds() for one in family),
        sum(one.num_threads() for one in family),
    )


@asynccontextmanager
async def watched(pid: int, every_s: float) -> AsyncIterator[list[Sample]]:
    """Samples of a process, taken every `every_s` seconds while the block lasts."""
    samples = [sample(pid)]

    async def watch() -> None:
        while True:
            await asyncio.sleep(every_s)
            with suppress(psutil.NoSuchProcess):
                samples.append(sample(pid))

    watching = asyncio.create_task(watch())
    try:
        yield samples
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def slope_per_hour(samples: list[Sample]) -> float:
    """By how many MiB an hour memory grows: the median of the slopes between all pairs, which no outlier moves.

    Source: the Theil-Sen estimator.
    """
    times = np.array([one.at_s for one in samples])
    memory = np.array([one.rss_mib for one in samples])
    later, earlier = np.triu_indices(len(samples), 1)[::-1]
    apart = times[later] - times[earlier]
    if not (apart > 0).any():
        return float("nan")
    slopes = (memory[later] - memory[earlier])[apart > 0] / apart[apart > 0]
    return float(np.median(slopes)) * 3600
