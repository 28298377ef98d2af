"""CPU time of the service's processes, read while a load runs."""

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
