"""What is done aside from requests: in threads that never hold up a process that wants to end, and may lose things."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


async def finish_within(bound_s: float, work: Callable[[], None], name: str) -> bool:
    """Does blocking work in a thread of its own, and stops waiting for it after `bound_s` seconds.

    Not `asyncio.to_thread`: the threads of its pool are joined when the process exits, so one that hangs would hang
    the exit.

    Returns:
        Whether the work ended in time.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def run() -> None:
        try:
            work()
        finally:
            with suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        await asyncio.wait_for(ended.wait(), bound_s)
    except TimeoutError:
        return False
    return True
