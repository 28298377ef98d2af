"""An event loop for code that is called by nobody's loop, or by somebody else's: a notebook has one running."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class OwnLoop:
    """A loop in a thread of its own; whoever calls it waits."""

    __slots__ = ("_loop", "_thread")

    def __init__(self) -> None:
        """Begins to run. The thread holds up no exit: a runner need not tear down what it has set up."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="keyscore-loop", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """What the coroutine returns, or raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """Ends the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
