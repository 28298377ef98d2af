"""What `keyscore check` finds: of each thing how it is, and what to do about a problem."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: How it is.
        about: What it is.
        text: What was found, and what to do about a problem.
    """

    level: Level
    about: str
    text: str


class Findings:
    """Tells each finding when it is made, and remembers whether there was a problem.

    Attributes:
        well: Whether there was none.
    """

    __slots__ = ("_report", "well")

    def __init__(self, report: Callable[[Finding], None]) -> None:
        self._report = report
        self.well = True

    def ok(self, about: str, text: str) -> None:
        """It is well."""
        self._report(Finding(Level.OK, about, text))

    def warn(self, about: str, text: str) -> None:
        """It is no reason not to start."""
        self._report(Finding(Level.WARNING, about, text))

    def problem(self, about: str, text: str) -> None:
        """A service would not start, or not answer."""
        self.well = False
        self._report(Finding(Level.PROBLEM, about, text))
