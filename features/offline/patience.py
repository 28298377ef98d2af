"""How long a job waits for a store that does not answer: a request cannot wait, a job of hours can."""

import logging
import random
from collections.abc import Callable
from typing import Final

from features.clock import Clock
from features.errors import FeaturesError, StoreExhausted, StoreUnavailable
from features.offline.pace import pause_until

log = logging.getLogger("keyscore")

PATIENCE_S: Final = 120.0
"""An outage that is longer ends the job, which can be resumed. A regional hand-over or a store's restart takes less."""

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 10.0
"""A store that has come back is found again within this time."""


class Patience:
    """Decides, after a read has failed, whether and when it is made again.

    The pause after failure number n is drawn from [1/2, 1] of `0.1 * 2^(n-1)` seconds, at most 10: reads that failed
    together shall not come back together.
    """

    __slots__ = ("_clock", "_patience_s", "_random", "_said")

    def __init__(
        self, clock: Clock, patience_s: float = PATIENCE_S, random: Callable[[], float] = random.random
    ) -> None:
        """Waits for nothing yet.

        Args:
            clock: The time.
            patience_s: For how long one read is tried again.
            random: Uniform over [0, 1).
        """
        self._clock = clock
        self._patience_s = patience_s
        self._random = random
        self._said = False

    def __repr__(self) -> str:
        return f"<Patience of {self._patience_s:g} s>"

    async def pause(self, view: str, error: FeaturesError, failures: int, failing_since: float) -> None:
        """Waits before a read is made again.

        Args:
            view: The view that is read.
            error: Why the last attempt failed.
            failures: How many attempts have failed.
            failing_since: When the first of them began, on the monotonic clock.

        Raises:
            StoreUnavailable: The outage has lasted for too long.
        """
        now = self._clock.monotonic()
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10)) * (1 + self._random()) / 2
        if isinstance(error, StoreExhausted):
            pause_s = max(pause_s, error.retry_after_s or 0.0)
        if now + pause_s - failing_since > self._patience_s:
            raise StoreUnavailable(
                f"{view!r} could not be read for {now - failing_since:.0f} s ({error}); "
                "what is finished is kept: resume the job when the store answers again"
            ) from error
        if not self._said:
            self._said = True
            log.warning("%r cannot be read (%s); trying again for up to %g s", view, error, self._patience_s)
        await pause_until(now + pause_s, self._clock)

    def answered(self) -> None:
        """The store has answered: the next outage is a new one, and worth a line."""
        self._said = False
