"""Log records to lines: pure. One record is one line whatever it holds, and no line holds a value.

Two laws:
- Whoever gets text into a record (a caller, a store, a library) cannot break out of its line, make a line of its own,
  move a terminal's cursor or fill a disk: control characters are escaped and long texts cut.
- An exception's message may quote what was being worked on, an entity's ID or a balance. So of an exception only its
  type and where it was raised are written; its words only if they are our own, and only at the level `debug`.
"""

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from service.log_stacks import stack_of
from service.trace_context import TraceContext

_MESSAGE_LIMIT: Final = 2_000
_FIELD_LIMIT: Final = 256
_STACK_LIMIT: Final = 16_000
"""Characters; a line without a stack is thereby nearly always under 4 kB, which a pipe takes in one piece."""

_OWN: Final = "keyscore"
_TRACE: Final = "logging.googleapis.com/trace"
_SPAN: Final = "logging.googleapis.com/spanId"
_SAMPLED: Final = "logging.googleapis.com/trace_sampled"
_CONTROLS: Final = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004  # where two digits end
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
"""C0, DEL and C1, which terminals obey; line and paragraph separators; marks that turn the direction of text."""


class JsonLines(logging.Formatter):
    """One JSON object per line, in Cloud Logging's fields, in ASCII.

    Source: https://cloud.google.com/logging/docs/structured-logging#special-payload-fields
    """

    def __init__(self, *, own_words: bool = False, environ: Mapping[str, str] = os.environ) -> None:
        """Learns where it is.

        Args:
            own_words: Whether to write the messages of our own exceptions.
            environ: Where GOOGLE_CLOUD_PROJECT may be; Cloud Logging finds a trace by its project.
        """
        super().__init__()
        self._own_words = own_words
        project = environ.get("GOOGLE_CLOUD_PROJECT")
        self._traces = f"projects/{project}/traces/" if project else ""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        line: dict[str, Any] = {
            "severity": record.levelname if record.levelno in _SEVERITIES else "DEFAULT",
            "time": _time(record),
            "message": cut(_message(record), _MESSAGE_LIMIT),
            "logger": cut(record.name, _FIELD_LIMIT),
        }
        if (context := getattr(record, "trace_context", None)) is not None:
            line |= self._trace(context)
        for name in ("request_id", "httpRequest"):
            if (value := getattr(record, name, None)) is not None:
                line[name] = _plain(value)
        if record.exc_info and record.exc_info[1] is not None:
            line["stack_trace"] = cut(stack_of(record.exc_info[1], own_words=self._own_words), _STACK_LIMIT)
        for name, value in getattr(record, "fields", {}).items():
            line.setdefault(name, _plain(value))
        # ASCII throughout: no reader takes a character inside a text for the end of the line
        return json.dumps(line, ensure_ascii=True).replace("\x7f", "\\u007f")

    def _trace(self, context: TraceContext) -> dict[str, Any]:
        trace = {_TRACE: f"{self._traces}{context.trace_id:032x}", _SAMPLED: bool(context.sampled)}
        return trace | {_SPAN: f"{context.span_id:016x}"} if context.span_id else trace


class TextLines(logging.Formatter):
    """Lines for people at a terminal; a stack follows its line, indented."""

    def __init__(self, *, own_words: bool = False) -> None:
        """Learns whether to write the messages of our own exceptions."""
        super().__init__()
        self._own_words = own_words

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        parts = [_time(record), record.levelname, f"{_visible(cut(record.name, _FIELD_LIMIT))}:"]
        parts.append(_visible(cut(_message(record), _MESSAGE_LIMIT)))
        named = {"request_id": getattr(record, "request_id", None)} | getattr(record, "fields", {})
        parts += [f"{name}={_visible(str(_plain(value)))}" for name, value in named.items() if value is not None]
        text = " ".join(parts)
        if record.exc_info and record.exc_info[1] is not None:
            stack = cut(stack_of(record.exc_info[1], own_words=self._own_words), _STACK_LIMIT)
            text += "".join(f"\n  {_visible(line)}" for line in stack.split("\n"))
        return text


_SEVERITIES: Final = frozenset((logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL))
"""The levels that Cloud Logging knows by the same names."""


def cut(text: str, limit: int) -> str:
    """The text, or its beginning and how much more there was."""
    if not text.isascii():
        text = text[: limit + 1].encode("utf-8", "replace").decode() + text[limit + 1 :]  # half a surrogate pair
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text) - limit:,} more characters)"


def _message(record: logging.LogRecord) -> str:
    """What the record says; of a foreign one that comes with an error no more than its first line.

    asyncio, for one, writes the representation of a failed task below it, and in this the error's words.
    """
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001  # the arguments do not fit, or cannot be written: not worth losing the line
        text = str(record.msg)
    if record.name.partition(".")[0] == _OWN or not record.exc_info:
        return text
    return _without(text.partition("\n")[0], record.exc_info[1])


def _without(text: str, error: BaseException | None) -> str:
    try:
        words = str(error)
    except Exception:  # noqa: BLE001  # then nobody else can have written its words either
        return text
    return text.replace(words, "(not logged)") if words else text


def _plain(value: Any) -> Any:
    """What JSON can say of the value, every text cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return cut(str(value), _FIELD_LIMIT)


def _visible(text: str) -> str:
    return text.translate(_CONTROLS)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
