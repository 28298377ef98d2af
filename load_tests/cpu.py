"""CPU time of the service's processes, read while a load runs; and what others took of the service's core."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Final

import psutil

EVERY_S: Final = 0.25
"""How often it is read; a reading takes some 50 us, and the kernel counts in hundredths of a second."""


class CpuWatch:
    """Readings of the CPU seconds that processes and their children have used.

    Args:
        pids: The processes; those of their children that are there at the beginning are counted, too.

    Attributes:
        used: Seconds after the beginning, and CPU seconds used by then; empty without processes.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._processes = [one for pid in pids for one in _family(pid)]
        self._begun = 0.0
        self.used: list[tuple[float, float]] = []

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Reads at the beginning, at the end and in between."""
        self._begun = time.monotonic()
        if not self._processes:
            yield
            return
        self._read()
        task = asyncio.get_running_loop().create_task(self._keep_reading())
        try:
            yield
        finally:
            task.cancel()
            self._read()

    async def _keep_reading(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self._read()

    def _read(self) -> None:
        self.used.append((time.monotonic() - self._begun, sum(map(_used, self._processes))))


CoreTimes = tuple[float, float, float]
"""Seconds of a core in all, of those idle, and CPU seconds of the process that it is for."""


def share_of_others(before: CoreTimes, after: CoreTimes) -> float:
    """Share of a core's time that neither the process had nor nobody."""
    whole, idle, own = (now - then for now, then in zip(after, before, strict=True))
    return max(1 - (idle + own) / whole, 0.0) if whole > 0 else 0.0


class Neighbours:
    """Who else was on a core that one process should have for itself: other programs, and other machines on this one.

    Args:
        pid: The process.
        core: Its core.
    """

    def __init__(self, pid: int, core: int) -> None:
        self._process = psutil.Process(pid)
        self._core = core
        self._begun = self._read()

    def share(self) -> float:
        """Share of the core's time since the beginning that neither the process had nor nobody."""
        return share_of_others(self._begun, self._read())

    def _read(self) -> CoreTimes:
        """Nothing where there is no such core."""
        cores = psutil.cpu_times(percpu=True)
        if self._core >= len(cores):
            return 0.0, 0.0, 0.0
        core = cores[self._core]._asdict()
        whole = sum(seconds for name, seconds in core.items() if not name.startswith("guest"))  # user time has those
        return whole, core["idle"] + core.get("iowait", 0.0), _used(self._process)


def _family(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _used(process: psutil.Process) -> float:
    """CPU seconds of one process; of one that has ended, none."""
    with contextlib.suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0
