"""A pace for reads, so that a job of millions leaves the store's quota to those who wait for an answer.

Keys are paid for before they are read: a read of n keys begins at its turn, and the next one's turn is n / rate later.
So in any t seconds at most rate * t keys are read, and one read's more. What was not used is not saved up: a job that
was busy with something else for a minute does not make up for it in a burst. Turns are given out ahead, so a loop that
wakes late loses none.

Source: the generic cell rate algorithm (ITU-T I.371) without tolerance.
"""

import asyncio
import threading
from typing import Final

from features.clock import Clock

_SHARE_AT_ONCE: Final = 0.1
"""Seconds' worth of keys in one read, at most."""


class Pace:
    """Gives out turns to read; loops in several threads may share one.

    Attributes:
        keys_at_once: The most keys that one read should hold.
    """

    __slots__ = ("__weakref__", "_clock", "_keys_per_s", "_lock", "_next_at", "keys_at_once")

    def __init__(self, keys_per_s: float, clock: Clock) -> None:
        """Begins with a turn that is free at once.

        Args:
            keys_per_s: Keys to read per second, more than 0.
            clock: The time.
        """
        self._keys_per_s = keys_per_s
        self._clock = clock
        self._lock = threading.Lock()
        self._next_at = clock.monotonic()
        self.keys_at_once = max(1, int(keys_per_s * _SHARE_AT_ONCE))

    def __repr__(self) -> str:
        return f"<Pace {self._keys_per_s:g} keys/s, next in {max(0.0, self._next_at - self._clock.monotonic()):.3f} s>"

    async def turn(self, n_keys: int) -> None:
        """Returns when `n_keys` may be read."""
        with self._lock:
            at = max(self._next_at, self._clock.monotonic())
            self._next_at = at + n_keys / self._keys_per_s
        await pause_until(at, self._clock)


async def pause_until(at: float, clock: Clock) -> None:
    """Returns at the instant `at` of the monotonic clock."""
    nothing = asyncio.get_running_loop().create_future()  # the clock waits for futures; this one never comes
    await clock.wait((nothing,), at)
