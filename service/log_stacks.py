"""Errors to stack traces without the errors' words. Pure.

The layout is that of Python's own `traceback`, which Google's Error Reporting reads.
"""

import traceback
from collections.abc import Iterator
from typing import Final

_FRAMES: Final = 30
"""Innermost frames per error; a recursion without end has a thousand."""

_ERRORS: Final = 4
"""Errors of one chain."""

_OWN: Final = frozenset(("features", "model", "service"))
_CAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"


def stack_of(error: BaseException, *, own_words: bool = False) -> str:
    """The stack of an error and of what led to it, the first one first.

    Args:
        error: The error.
        own_words: Whether to write the messages of exceptions of our own classes; others' are never written.
    """
    texts: list[str] = []
    for one, link in reversed(list(_chain(error))):
        frames = traceback.extract_tb(one.__traceback__, limit=-_FRAMES)
        head = ["Traceback (most recent call last):\n", *frames.format()] if frames else []
        texts.append("".join((*head, _name(one), _words(one, own_words=own_words), "\n", link)))
    return "".join(texts).rstrip("\n")


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """The error and what led to it, last first, each with its link to the one before it in this order."""
    seen: set[int] = set()
    current: BaseException | None = error
    link = ""
    while current is not None and id(current) not in seen and len(seen) < _ERRORS:
        seen.add(id(current))
        yield current, link
        link = _CONTEXT if current.__cause__ is None else _CAUSE
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _words(error: BaseException, *, own_words: bool) -> str:
    if isinstance(error, BaseExceptionGroup):
        return ": " + ", ".join(_name(inner) for inner in error.exceptions[:_ERRORS])
    if own_words and type(error).__module__.partition(".")[0] in _OWN:
        return f": {error}"
    return ": (message not logged)"
