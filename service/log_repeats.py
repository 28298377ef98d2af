"""The same complaint over and over: the first few are let through, the rest are counted and told of once."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

_PER_S: Final = 10
"""Lines a second of one kind; enough to see that it goes on."""

_TELEMETRY_WINDOW_S: Final = 60.0
"""About telemetry one line a minute of one kind: a collector that is down is said to be down often enough."""

_TELEMETRY: Final = ("keyscore.telemetry", "opentelemetry", "urllib3", "requests")
"""Beginnings of the names of loggers that speak when a collector cannot be reached."""

_KINDS: Final = 500
"""Kinds told apart at a time; a library that writes its arguments into its templates must not cost memory."""

_TEMPLATE_LIMIT: Final = 200


@dataclass(slots=True)
class Repeated:
    """One kind of line within one window.

    Attributes:
        name: The logger.
        level: Its level.
        template: Its message, before arguments.
        until: When the window ends.
        left: Lines that are still let through.
        held: Lines that were not.
    """

    name: str
    level: int
    template: str
    until: float
    left: int
    held: int = 0

    def record(self) -> logging.LogRecord:
        """The line that tells of those not let through."""
        return logging.LogRecord(
            self.name, self.level, "", 0, 'and %s more like it: "%s"', (f"{self.held:,}", self.template), None
        )


class Repeats:
    """Lets warnings and worse through at most so often; what is less severe is not its business."""

    __slots__ = ("_kinds", "_lock", "_monotonic")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Begins with nothing said.

        Args:
            monotonic: Seconds that never jump.
        """
        self._monotonic = monotonic
        self._kinds: dict[tuple[str, int, str], Repeated] = {}
        self._lock = Lock()

    def lets(self, record: logging.LogRecord) -> bool:
        """Whether this line is let through; one that is marked `every` always is."""
        if record.levelno < logging.WARNING or getattr(record, "every", False):
            return True
        template = str(record.msg)[:_TEMPLATE_LIMIT]
        now = self._monotonic()
        with self._lock:
            kind = self._kind(record, template, now)
            if kind.left:
                kind.left -= 1
                return True
            kind.held += 1
            return False

    def told(self, *, at_once: bool = False) -> list[logging.LogRecord]:
        """Lines that tell of what was held back in windows that are over; `at_once`, in all of them."""
        now = self._monotonic()
        with self._lock:
            over = [key for key, kind in self._kinds.items() if at_once or kind.until <= now]
            return [kind.record() for kind in map(self._kinds.pop, over) if kind.held]

    def _kind(self, record: logging.LogRecord, template: str, now: float) -> Repeated:
        key = (record.name, record.levelno, template)
        if key not in self._kinds and len(self._kinds) >= _KINDS:
            key, template = ("keyscore", record.levelno, ""), "(many kinds of lines)"
        kind = self._kinds.get(key)
        if kind is None or (kind.until <= now and not kind.held):
            telemetry = record.name.startswith(_TELEMETRY)
            window_s, left = (_TELEMETRY_WINDOW_S, 1) if telemetry else (1.0, _PER_S)
            kind = self._kinds[key] = Repeated(key[0], record.levelno, template, now + window_s, left)
        return kind
