"""What becomes of an element without a score: what was sent and why, for the pipeline's second output."""

from typing import Any, Final, NamedTuple

from features.errors import FeatureError, FeatureUnread, InstanceInvalid

FAILED: Final = "failed"
"""Tag of the output that dead letters leave by."""


class Unreadable(NamedTuple):
    """Stands for a row of an input that is no instance at all.

    Attributes:
        sent: What is there instead.
        why: Why it is none, and where.
    """

    sent: Any
    why: str


def dead_letter(sent: Any, error: Exception) -> dict[str, Any]:
    """`{"instance", "error"}`; the error names its kind, says why, and names the field or feature at fault.

    Args:
        sent: The instance as it came.
        error: Why it has no score.
    """
    names = {}
    if isinstance(error, InstanceInvalid) and error.field is not None:
        names = {"field": error.field}
    elif isinstance(error, FeatureError):
        names = {"feature": error.feature, "view": error.view}
    why = f"{error}: {error.cause}" if isinstance(error, FeatureUnread) else str(error)
    return {"instance": sent, "error": {"type": type(error).__name__, "detail": why, **names}}
