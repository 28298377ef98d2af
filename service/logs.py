"""Logging: JSON lines for Cloud Logging or text for a terminal, on stdout, never in anybody's way.

Everything goes to stdout: Vertex AI records what comes on stderr as errors.
"""

import io
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import Final, TextIO

from service.log_lines import JsonLines, TextLines
from service.log_repeats import Repeats
from service.log_writing import LineWriter
from service.settings import Settings
from service.telemetry.drops import Drops

CLOSE_S: Final = 0.5
"""Seconds that lines have to get out when logging ends; they take 0.02 where somebody reads them. Part of the sum in
`service.serving`."""

_OURS: Final = "keyscore"


class Logs(logging.Handler):
    """The one log handler of the process: says what a line is and passes it to the thread that writes it."""

    def __init__(self, descriptor: int, lines: logging.Formatter, drops: Drops) -> None:
        """Begins to write.

        Args:
            descriptor: Where to.
            lines: What a record looks like as a line.
            drops: Who counts lines that were lost.
        """
        super().__init__()
        self.setFormatter(lines)
        self._drops = drops
        self._repeats = Repeats(time.monotonic)
        self._closed = False
        self._writer = LineWriter(descriptor, drops, self._extra)

    def emit(self, record: logging.LogRecord) -> None:
        """See logging. The line is made here, at once: what a record holds may change, and may be large."""
        if not self._repeats.lets(record):
            return
        if self._writer.full:
            self._writer.drop()
            return
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001  # a line is not worth a request
            self._drops.add("logs", 1)
            return
        self._writer.put(line)

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Ends when all lines are out or `timeout_s` is over; later lines are dropped and counted."""
        if not self._closed:
            self._closed = True
            self._writer.close(timeout_s)
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode()

    def _extra(self, dropped: int) -> Iterator[bytes]:
        for record in self._repeats.told(at_once=self._closed):
            yield self._line(record)
        if dropped:
            text = "%s log lines were dropped: they came faster than stdout was read"
            yield self._line(logging.LogRecord(_OURS, logging.WARNING, "", 0, text, (f"{dropped:,}",), None))


def configure_logging(
    settings: Settings | None = None, stdout: TextIO | None = None, *, drops: Drops | None = None
) -> Logs:
    """Has everything that is logged written to stdout; a second call takes the first one's place.

    Args:
        settings: Level and format; without them, for what is said before they are known, the defaults.
        stdout: Where to; the process's own by default.
        drops: Who counts lines that were lost.

    Returns:
        The handler, to be closed at the end.
    """
    level = logging.INFO if settings is None else getattr(logging, settings.log_level.upper())
    stream = sys.stdout if stdout is None else stdout
    stream.flush()  # from here on we write past its buffer, and the thread shares no lock with an exit that flushes it
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, Logs)]:
        root.removeHandler(handler)
        handler.close()
    text = stream.isatty() if settings is None or settings.log_format == "auto" else settings.log_format == "text"
    debug = level <= logging.DEBUG
    lines = TextLines(own_words=debug) if text else JsonLines(own_words=debug)
    logs = Logs(os.dup(_descriptor(stream)), lines, drops or Drops())
    root.addHandler(logs)
    # Libraries say at their lower levels what they work on; that is not for the log.
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger(_OURS).setLevel(level)
    return logs


def _descriptor(stream: TextIO) -> int:
    try:
        return stream.fileno()
    except io.UnsupportedOperation:  # something that only looks like a file has taken stdout's place
        return 1
