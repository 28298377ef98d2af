"""A few requests at a turn of the event loop, in the order in which they arrived.

Without it a burst of requests that are read in one turn would all be worked on before the next read: whoever comes
during that time, if only to be refused or to ask whether the process lives, waits for all of them. With it he waits
for a handful. An idle loop makes nobody wait.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

_AT_A_TURN: Final = 16
"""Requests begun in one turn: about 5 ms of work, against refusals that shall be answered within 20 ms."""


class Turnstile:
    """Begins requests, at most 16 in a turn of the running loop."""

    __slots__ = ("_begun", "_loop", "_scheduled", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._begun = 0
        self._scheduled = False

    def __repr__(self) -> str:
        return f"<Turnstile {len(self._waiting)} waiting>"

    def enter(self, begin: Callable[[], None]) -> None:
        """Calls `begin` now, or in a later turn if this one has begun enough."""
        if self._begun < _AT_A_TURN:
            self._begun += 1
            begin()
        else:
            self._waiting.append(begin)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._begun = min(_AT_A_TURN, len(self._waiting))
        for _ in range(self._begun):
            self._waiting.popleft()()
        self._scheduled = bool(self._begun)
        if self._scheduled:
            self._loop.call_soon(self._turn)
