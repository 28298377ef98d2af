"""Facts about requests, for the observers of `features.events`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from features.events import Event


class Stage(StrEnum):
    """The seven stages of a request: the function, the span, the metric label and the row in the benchmark."""

    ADMIT = "admit"
    PARSE = "parse"
    PLAN = "plan"
    RETRIEVE = "retrieve"
    ASSEMBLE = "assemble"
    SCORE = "score"
    RESPOND = "respond"


@dataclass(frozen=True, slots=True)
class StageEnded(Event):
    """One stage of a watched request ended, well or not."""

    stage: Stage
    duration_s: float


class Watch(Protocol):
    """Follows one request stage by stage.

    Most requests are not watched: timing every stage of each would cost more than it tells.
    """

    def stage_ended(self, stage: Stage, began: float, ended: float) -> None:
        """Takes note; times are on the monotonic clock."""
        ...


@dataclass(frozen=True, slots=True)
class RequestShed(Event):
    """A request was refused at admission.

    Attributes:
        partition: `interactive` or `large`.
        reason: `limit`, because all places were taken; `deadline`, because its budget is shorter than the wait.
    """

    partition: str
    reason: str


@dataclass(frozen=True, slots=True)
class RowsScored(Event):
    """One scoring call ended."""

    rows: int


@dataclass(frozen=True, slots=True)
class ValuesSubstituted(Event):
    """A request was answered with values other than the store's current ones."""

    degraded: int
    defaulted: int


@dataclass(frozen=True, slots=True)
class RequestEnded(Event):
    """One HTTP request was answered.

    Attributes:
        route: The path template, or `other`; from a closed set.
        status: HTTP status.
        duration_s: From its arrival to the end of the answer.
    """

    route: str
    status: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class LoopLagged(Event):
    """A tick of the event loop came later than it should.

    Attributes:
        lag_s: How much later; 0 when the loop was free.
    """

    lag_s: float
