"""A thread of one's own: calls that may block are made one after the other, off the event loop.

Not a `ThreadPoolExecutor`: its threads are joined when the process exits, so a call that hangs, on a disk that does not
answer for example, would hang the exit. This thread is a daemon and would be left behind.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")


class OwnThread:
    """Makes calls in the order in which they were asked for."""

    __slots__ = ("_calls", "_ended", "_thread")

    def __init__(self, name: str) -> None:
        """Starts nothing yet."""
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._ended = False

    def __repr__(self) -> str:
        state = "ended" if self._ended else f"{self._calls.qsize()} calls waiting"
        return f"<OwnThread {self._thread.name!r} {state}>"

    async def run(self, function: Callable[..., _T], *args: object) -> _T:
        """What `function(*args)` returns; it is not called if nobody waits for it any more when its turn comes.

        Raises:
            RuntimeError: `end` was called.
            Exception: What the function raised.
        """
        if self._ended:
            raise RuntimeError(f"{self._thread.name} has ended")
        if self._thread.ident is None:
            self._thread.start()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[_T] = loop.create_future()
        self._calls.put(partial(_call, loop, result, partial(function, *args)))
        return await result

    def end(self) -> None:
        """Takes no more calls; the thread ends when it has made those that it was given."""
        self._ended = True
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _call(loop: asyncio.AbstractEventLoop, result: "asyncio.Future[_T]", function: Callable[[], _T]) -> None:
    if result.cancelled():
        return
    try:
        settle = partial(_settle, result, result.set_result, function())
    except Exception as error:  # noqa: BLE001  # whatever it is, whoever waits shall hear it
        settle = partial(_settle, result, result.set_exception, error)
    with suppress(RuntimeError):  # the loop has closed: nobody waits
        loop.call_soon_threadsafe(settle)


def _settle(result: "asyncio.Future[_T]", settle: Callable[..., None], outcome: object) -> None:
    if not result.done():
        settle(outcome)
