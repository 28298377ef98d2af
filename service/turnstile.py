"""A few requests at a turn of the event loop, in the order in which they arrived.

Without it a burst of requests that are read in one turn, or whose features arrive in one read, would all be worked on
before the next turn: whoever comes during that time, if only to be refused or to ask whether the process lives, waits
for all of them. With it he waits for a handful. An idle loop makes nobody wait.

A request goes through when it begins, and once more when it had to wait for features; those who have begun go first.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from features.clock import Clock

_MOST: Final = 64
"""Requests worked on in one turn where they are quick: 5 ms of warm ones. They share a scoring call, whose cost is
nearly the same for one row and for many."""

_LEAST: Final = 8
"""Requests worked on in one turn where each takes long; fewer would share too little."""

_TURN_S: Final = 0.004
"""A turn holds as many requests as it should take this long for, by what each took lately: a refusal needs three turns
if its connection is new, and shall be answered within 20 ms. Warm ones take 0.06 ms, cold detailed ones 0.3."""

_WEIGHT: Final = 0.1
"""Of one turn in what a request takes."""


class Turnstile:
    """Lets requests be worked on, a bounded number in a turn of the running loop.

    Attributes:
        turns: How many turns there have been in which somebody came through.
    """

    __slots__ = (
        "_at_a_turn",
        "_begun",
        "_clock",
        "_each_s",
        "_least",
        "_loop",
        "_most",
        "_noted",
        "_returning",
        "_scheduled",
        "_since",
        "_waiting",
        "turns",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        noted: Callable[[float], None] = lambda _: None,
        most: int = _MOST,
        least: int = _LEAST,
    ) -> None:
        """Begins with nobody waiting.

        Args:
            loop: The event loop that serves.
            clock: The time.
            noted: Told the seconds that a request waited to go on.
            most: How many requests are worked on in one turn, where each is quick.
            least: How many are, however long each takes; and at first.
        """
        self._loop = loop
        self._most = most
        self._least = self._at_a_turn = least
        self._each_s = _TURN_S / least
        self._clock = clock
        self._noted = noted
        self._waiting: deque[Callable[[], None]] = deque()
        self._returning: deque[asyncio.Future[None]] = deque()
        self._begun = 0
        self._scheduled = False
        self._since = 0.0
        self.turns = 0

    def __repr__(self) -> str:
        return f"<Turnstile {len(self._returning)} returning, {len(self._waiting)} waiting, {self._at_a_turn} a turn>"

    def enter(self, begin: Callable[[], None]) -> None:
        """Calls `begin` now, or in a later turn if this one has begun enough."""
        if self._begun < self._at_a_turn:
            self._begun += 1
            begin()
        else:
            self._waiting.append(begin)
        self._schedule()

    async def go_on(self) -> None:
        """Returns when a request that has waited for something else may be worked on again."""
        if self._begun < self._at_a_turn:
            self._begun += 1
            self._schedule()
            return
        turn = self._loop.create_future()
        self._returning.append(turn)
        came = self._clock.monotonic()
        await turn
        self._noted(self._clock.monotonic() - came)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._since = self._clock.monotonic()
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self.turns += 1
        self._follow_the_time()
        self._begun = 0
        while self._begun < self._at_a_turn and self._returning:
            turn = self._returning.popleft()
            if not turn.done():  # its request was not cancelled meanwhile
                turn.set_result(None)
                self._begun += 1
        while self._begun < self._at_a_turn and self._waiting:
            self._waiting.popleft()()
            self._begun += 1
        self._scheduled = bool(self._begun)
        if self._scheduled:
            self._loop.call_soon(self._turn)

    def _follow_the_time(self) -> None:
        """Fewer requests in a turn where each takes long, more where they are quick."""
        now = self._clock.monotonic()
        took_s, self._since = now - self._since, now
        if self._begun:
            self._each_s += _WEIGHT * (took_s / self._begun - self._each_s)
            fit = int(_TURN_S / self._each_s) if self._each_s > 0 else self._most
            self._at_a_turn = max(self._least, min(self._most, fit))
