"""Facts about requests, for the observers of `features.events`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from features.events import Event

SHED_REASONS: Final = ("limit", "deadline")
"""Why a request is refused at admission: no place is free; the wait is longer than its budget."""


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
        partition: Whose places were asked for: `interactive` or `large`.
        reason: One of `SHED_REASONS`.
    """

    partition: str
    reason: str


@dataclass(frozen=True, slots=True)
class InstancesAssembled(Event):
    """The values of a request's instances were put together.

    Attributes:
        instances: How many instances.
        absent: How many of their values the store did not give as wanted, by view and status; all others are present.
    """

    instances: int
    absent: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class RowsAged(Event):
    """Rows of one view were used in a watched request.

    Attributes:
        view: Name of the feature view.
        ages_s: Seconds since the event time of the oldest value of each dated row, or of the first of many rows.
    """

    view: str
    ages_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RowsScored(Event):
    """One scoring call ended.

    Attributes:
        rows: How many rows it scored.
        scores: The last class' probability of each that has a finite one; None for a regression.
    """

    rows: int
    scores: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class ValuesSubstituted(Event):
    """A request was answered with values other than the store's current ones."""

    degraded: int
    defaulted: int


@dataclass(frozen=True, slots=True)
class RequestRefused(Event):
    """One HTTP request was answered at the door; the app never saw it.

    It has no duration: under overload thousands of refusals in a second would hide how long the others take.

    Attributes:
        route: The path of predictions that was asked for, or `other`; from a closed set.
        status: HTTP status.
    """

    route: str
    status: int


@dataclass(frozen=True, slots=True)
class RequestEnded(Event):
    """One HTTP request that was let in was answered.

    Attributes:
        route: The path template, or `other`; from a closed set.
        status: HTTP status.
        duration_s: From its being let in to the end of the answer.
    """

    route: str
    status: int
    duration_s: float
