"""Exporters that fail say so once a minute, not at every try."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from features.clock import Clock

_EVERY_S: Final = 60.0

LOUD: Final = (
    "keyscore.telemetry",
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
"""Loggers that speak when a collector cannot be reached; a filter works only on the logger that a line is logged at."""


class OncePer(logging.Filter):
    """Lets one line pass, then none for a while."""

    def __init__(self, clock: Clock, every_s: float = _EVERY_S) -> None:
        super().__init__()
        self._clock = clock
        self._every_s = every_s
        self._next = float("-inf")
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is to be written; it then says how many were left out before it."""
        now = self._clock.monotonic()
        if now < self._next:
            self._left_out += 1
            return False
        self._next = now + self._every_s
        if self._left_out:
            record.msg, record.args = f"{record.getMessage()} ({self._left_out} such lines were left out)", None
            self._left_out = 0
        return True


@contextmanager
def quiet_exporters(clock: Clock) -> Iterator[None]:
    """All `LOUD` loggers together write at most one line a minute while the context lasts."""
    once = OncePer(clock)
    loggers = [logging.getLogger(name) for name in LOUD]
    for one in loggers:
        one.addFilter(once)
    try:
        yield
    finally:
        for one in loggers:
            one.removeFilter(once)
