"""How late the event loop comes round: what every request waits for that waits for nothing else."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from features.clock import Clock

_EVERY_S: Final = 0.1
"""Ten looks a second cost nothing that can be measured, and see any stall of 100 ms or more."""


class Timers(Protocol):
    """The part of an event loop that is needed."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> asyncio.TimerHandle:
        """See asyncio."""
        ...


class LoopLag:
    """Asks to be called in a while, again and again, and notes how late that was."""

    __slots__ = ("_clock", "_due", "_note", "_timer", "_timers")

    def __init__(self, note: Callable[[float], None], clock: Clock, timers: Timers) -> None:
        """Does nothing yet.

        Args:
            note: Told the lag, in seconds.
            clock: The time; uvloop's own stands still within a turn and counts in milliseconds.
            timers: The event loop.
        """
        self._note = note
        self._clock = clock
        self._timers = timers

    def __enter__(self) -> Self:
        self._ask()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def _ask(self) -> None:
        self._due = self._clock.monotonic() + _EVERY_S
        self._timer = self._timers.call_later(_EVERY_S, self._called)

    def _called(self) -> None:
        self._note(max(0.0, self._clock.monotonic() - self._due))  # uvloop's timers may be a millisecond early
        self._ask()
