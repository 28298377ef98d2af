"""What a run found, kept until it is told."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from load_tests.benchmark.rows import BY_NAME, Row
from load_tests.client import FAILURE_NAMES
from load_tests.objectives import Objective, none_of
from load_tests.profiles.base import RatePoint

_OK: Final = 200
_NEIGHBOURS_BAR: Final = 0.1
"""Where others take more than this share of a contender's core, its rate is the machine's. A few hundredths are the
kernel's, which moves the bytes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a row came to.

    Attributes:
        row: The row.
        samples: The figure, once per repetition.
        figure: What is held to the bar.
        raw: What the samples were made of, by a name that says the unit.
        note: What one must know to read it.
        void: Why it proves nothing, if so.
    """

    row: Row
    samples: Sequence[float]
    figure: float
    raw: Mapping[str, Sequence[float]]
    note: str = ""
    void: str | None = None

    @property
    def objective(self) -> Objective:
        """The row as an objective, to be judged."""
        return Objective(self.row.figure, self.figure, self.row.sense, self.row.bar, self.row.unit, void=self.void)

    @property
    def far(self) -> bool:
        """Whether the far goal is reached, too."""
        return self.void is None and self.row.reaches(self.figure, self.row.far)


@dataclass(frozen=True, slots=True)
class LoadLine:
    """What a service does for so many callers, each with one request at a time.

    Attributes:
        contender: Which service.
        callers: Connections.
        ids: IDs in a request.
        rate: Requests per second.
        p50_s: Median time of a request, in seconds.
        p99_s: 99th percentile of it.
        answers: How many requests that was taken from.
    """

    contender: str
    callers: int
    ids: int
    rate: float
    p50_s: float
    p99_s: float
    answers: int


@dataclass(slots=True)
class Soundness:
    """Whether a contender did what it was measured for.

    Attributes:
        answers: Its answers of 200.
        failed: Requests answered otherwise, or not at all, by status or by what happened.
        checked: Answers whose content was looked at.
        wrong: What was wrong with those that were.
    """

    answers: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All requests."""
        return self.answers + self.failed.total()

    def count(self, statuses: Mapping[int, int]) -> None:
        """Adds requests by status; failures below zero."""
        for status, number in statuses.items():
            if status == _OK:
                self.answers += number
            else:
                self.failed[FAILURE_NAMES.get(status, str(status))] += number


@dataclass(slots=True)
class Book:
    """Everything.

    Attributes:
        findings: By the row's name.
        ceiling: Requests per second that the closed loop gets of a constant, once per repetition.
        lines: Throughput and latency by connections and IDs.
        neighbours: Share of a contender's core that others took at 64 connections, once per repetition.
        curves: Latency over the offered rate, by contender.
        sound: By contender.
    """

    findings: dict[str, Finding] = field(default_factory=dict)
    ceiling: list[float] = field(default_factory=list)
    lines: list[LoadLine] = field(default_factory=list)
    neighbours: dict[str, list[float]] = field(default_factory=dict)
    curves: dict[str, list[RatePoint]] = field(default_factory=dict)
    sound: dict[str, Soundness] = field(default_factory=dict)

    def add(
        self,
        name: str,
        samples: Sequence[float],
        raw: Mapping[str, Sequence[float]],
        *,
        figure: float | None = None,
        note: str = "",
        void: str | None = None,
    ) -> None:
        """Keeps what a row came to: the median of its samples, unless another figure is named."""
        taken = median(samples) if figure is None else figure
        self.findings[name] = Finding(BY_NAME[name], samples, taken, raw, note, void)

    def disturbed(self, name: str) -> str | None:
        """Why what a contender did at 64 connections tells of the machine, if so."""
        taken = median(self.neighbours.get(name, [0.0]))
        return f"others took {taken:.0%} of the core of {name}" if taken > _NEIGHBOURS_BAR else None

    def objectives(self) -> list[Objective]:
        """The bars, in the order of the table."""
        return [self.findings[name].objective for name in BY_NAME if name in self.findings]

    def soundness(self) -> list[Objective]:
        """That everybody answered, and rightly."""
        return [
            one
            for name, found in self.sound.items()
            for one in (
                replace(
                    none_of(f"{name}: requests not answered with 200", found.failed.total(), found.total),
                    void=self.disturbed(name) if found.failed else None,
                ),
                none_of(f"{name}: wrong answers", len(found.wrong), found.checked),
            )
        ]
