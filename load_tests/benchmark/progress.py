"""How far the run is, for whoever waits."""

import time
from collections.abc import Callable, Mapping


class Progress:
    """Says what is being measured, and how long all that is still to come may take.

    Args:
        parts: The parts of the run in order, and how many seconds each is expected to take.
        say: Takes a line.
    """

    def __init__(self, parts: Mapping[str, float], say: Callable[[str], None]) -> None:
        self._left = dict(parts)
        self._say = say
        self._began = time.monotonic()
        self._part = ""
        self._expected_s = 0.0

    def begin(self, part: str) -> None:
        """A part begins; the one before is over."""
        self._part = part
        self._expected_s = self._left.pop(part, 0.0)
        self.tell("", 0.0)

    def tell(self, text: str, done: float) -> None:
        """A step of the part is over.

        Args:
            text: What it found.
            done: Share of the part that is done.
        """
        left_s = sum(self._left.values()) + self._expected_s * (1 - done)
        elapsed_s = time.monotonic() - self._began
        told = f"{self._part}: {text}" if text else self._part
        self._say(f"[{_clock(elapsed_s)}, about {_clock(left_s)} left] {told}")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
