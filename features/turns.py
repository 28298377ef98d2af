"""Turns: long work in slices, and after each slice a turn of the event loop for everybody else.

The work itself stays pure: a function of a range, which knows nothing of loops. Whoever drives it hands the ranges out.

    request of 10,000 ─┐
    read of 10,000    ─┼─► one slice ─► a turn for everybody ─► the next slice, of whoever waited longest
    request of 2,000  ─┘

One slice at a time among all who share a `Turns`: twenty reads that each decode "only a little" before they let go
would together hold the loop as long as one that never does. What fits into one slice runs at once and waits for nobody.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from features.clock import Clock, SystemClock
from features.deadline import Deadline
from features.errors import DeadlineExceeded

SLICE: Final = 1_024
"""Instances, keys or rows that are worked on without a pause; at 0.1 to 1 µs for each in every stage, a millisecond at
most."""

CUT: Final = 128
"""Of more than that, so many at a time: whoever needs ten turns does not make each of them a millisecond long. With
slices of 1,024, batches of 10,000 back to back made the p99 of others 3.6 times what it is without them, with 256 2.4
times."""

_TURNS_OF_OTHERS: Final = 4
"""Turns after each piece: a small request needs as many from its first byte to its answer, among others two more, and
shall meet one piece on its way, or two, instead of four. A turn of an idle loop is a few microseconds."""

_OTHERS_S: Final = 0.002
"""So long a time of others is enough, whatever the number of their turns: those of a busy loop are 4 ms long, and ten
thousand instances are some four hundred pieces."""


class Turns:
    """Hands out ranges, one at a time among all who ask."""

    __slots__ = ("_clock", "_slice")

    def __init__(self, clock: Clock | None = None) -> None:
        """Begins with nobody waiting.

        Args:
            clock: The time; the system's by default.
        """
        self._clock = clock or SystemClock()
        # first come, first served, and made once: it belongs to no loop until it is waited for
        self._slice = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Turns {'busy' if self._slice.locked() else 'free'}>"

    async def over(
        self,
        size: int,
        work: Callable[[int, int], object],
        deadline: Deadline | None = None,
        *,
        at_once: int | None = None,
    ) -> None:
        """Calls `work(start, stop)` for consecutive ranges that make up `range(size)`.

        Args:
            size: How much there is to do; up to `SLICE`, it is done without a pause, and beyond in pieces of `CUT`.
            work: Does the part from `start` to before `stop`.
            deadline: When the result is worth nothing any more; looked at after each pause.
            at_once: In place of both, where one item takes more than a few microseconds.

        Raises:
            DeadlineExceeded: `deadline` passed between two slices.
        """
        if size <= (at_once or SLICE):
            work(0, size)
            return
        step = at_once or CUT
        for start in range(0, size, step):
            async with self._slice:
                if deadline is not None and deadline.passed:
                    raise DeadlineExceeded("the deadline passed while the request was being worked on")
                work(start, min(start + step, size))
                await self.of_others()

    async def of_others(self) -> None:
        """Lets everybody else have their turns."""
        until = self._clock.monotonic() + _OTHERS_S
        for _ in range(_TURNS_OF_OTHERS):
            await asyncio.sleep(0)
            if self._clock.monotonic() >= until:
                break
