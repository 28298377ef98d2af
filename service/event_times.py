"""What people write when they mean a moment, as Unix seconds. Pure."""

from datetime import datetime
from typing import Final

_EARLIEST_S: Final = 1e8  # 1973; what is below is a date without dashes (20240131) or a count, not a moment
_LATEST_S: Final = 1e11  # the year 5138; what is beyond was counted in milliseconds or less

FORMS: Final = "a date and time with its zone (2026-01-31T12:00:00Z) or Unix seconds (1769860800)"
"""What `event_time_s` understands, for messages."""


def event_time_s(value: object) -> float | None:
    """The moment in Unix seconds; None for nothing at all.

    Args:
        value: ISO 8601 text with a zone, Unix seconds as a number or as text, or a `datetime` with a zone.

    Raises:
        ValueError: It is no moment; the message completes a sentence that begins with the column's name.
    """
    if value is None or value == "" or value != value:  # noqa: PLR0124  # only NaN differs from itself
        return None
    if isinstance(value, str):
        value = _from_text(value.strip())
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be {FORMS}")  # noqa: TRY004  # a value in a file, not a mistake in the code
    if value >= _LATEST_S:
        raise ValueError("is too large for Unix seconds; divide milliseconds by 1,000")
    if not value >= _EARLIEST_S:
        raise ValueError(f"is too small for Unix seconds; it must be {FORMS}")
    return float(value)


def _from_text(text: str) -> float | datetime:
    try:
        return float(text)
    except ValueError:
        return _from_iso(text)


def _from_iso(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"must be {FORMS}") from None
    if moment.tzinfo is None:
        raise ValueError("has no time zone; add Z or an offset such as +02:00")
    return moment
