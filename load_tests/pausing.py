"""Stops a process now and then, as a machine that is taken away for a moment does."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress


async def pause(pid: int, seconds: float) -> None:
    """The process stands still for so long, then goes on; also if this is cancelled."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def paused_every(pids: Sequence[int], every_s: float, seconds: float) -> AsyncIterator[None]:
    """While the block lasts, the processes stand still for `seconds` in every `every_s`: a control."""

    async def keep_pausing() -> None:
        while True:
            await asyncio.sleep(every_s - seconds)
            await asyncio.gather(*(pause(pid, seconds) for pid in pids))

    pausing = asyncio.create_task(keep_pausing())
    try:
        yield
    finally:
        pausing.cancel()
        with suppress(asyncio.CancelledError):
            await pausing
