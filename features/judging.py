"""Which value is used, and what stands for one that cannot be: rows, policies and ages to decisions. Pure.

Most rows are plain: every value present, and no bound on its age. Of these nothing needs to be decided. Rows whose
only fault is their nulls are decided upon together, those with the same nulls alike; and where nulls shall be missing,
there is nothing to do but count them, since a row holds them as just that. Any other row (none at all, unread,
degraded, or perhaps too old) is looked at feature by feature.

Instances have nothing to do with each other, so they may be judged range by range. Where many instances share few rows,
as in a file of payments by the same customers, each row is judged once: see `features.sharing`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.errors import EntityNotFound, FeatureAbsent, FeatureError, FeaturesError, FeatureUnread
from features.found_rows import FoundRows
from features.freshness import Bounds, oldest_event, too_old
from features.planning import Instances
from features.spec import Action, FeatureView, Spec, StoredFeature
from features.values import FeatureRow, Retrieved, Source, Status, Value

_MASKS: Final = 4_096
"""Sets of nulls that are remembered per view; real data have a few dozen."""

_FEW_SETS: Final = 32
"""Sets of nulls that are gone through for all rows; of 75 a thousand rows take twice as long as one by one."""

_plain: Final = attrgetter("plain")


@dataclass(frozen=True, slots=True)
class Substitute:
    """What is used in place of a value that cannot be used as it is."""

    value: Value
    status: Status
    source: Source


Substitutes = Mapping[int, Substitute]
"""By position of the feature."""

Index = NDArray[np.intp]
"""Which of a view's retrieved rows each instance uses, `(n_instances,)`."""

_NO_NUMBERS: Final = np.empty((0, 0))
NO_SUBSTITUTES: Final[Substitutes] = {}


@dataclass(slots=True)
class Assembly:
    """What one request is scored with, and what had to be done to get it.

    Attributes:
        instances: The request's instances.
        retrieved: For each view of the spec, what was retrieved for each instance.
        wall: Unix seconds at which ages were taken.
        now: The same moment on the monotonic clock.
        failures: Why an instance cannot be scored, by its index; its vector means nothing.
        substitutes: By instance, what stands for stored values that cannot be used. Nulls that are just missing are
            left out: their rows say it themselves.
        degraded: By instance, how many values were substituted because of an error or served too stale.
        defaulted: By instance, how many declared defaults stand for absent values.
        absent: How many values of all instances, failed ones too, are not present, by view and status.
        numeric: float64, `(n_rows, n_numeric)`, the vectors' numbers; `Assembler.vectors` puts them in.
        columns: Which column of `numeric` a feature's number is in, by position of the feature.
        indexes: For each view, which of its rows every instance uses; None where instance number i uses row number i.
            Empty where that is so in all of them.
        by_row: Only with `indexes`, in place of `substitutes`: for each view, what stands for values of a row.
    """

    instances: Instances
    retrieved: Sequence[Sequence[Retrieved]]
    wall: float
    now: float
    failures: dict[int, FeatureError] = field(default_factory=dict)
    substitutes: dict[int, Substitutes] = field(default_factory=dict)
    degraded: dict[int, int] = field(default_factory=dict)
    defaulted: dict[int, int] = field(default_factory=dict)
    absent: dict[tuple[str, str], int] = field(default_factory=dict)
    numeric: NDArray[np.float64] = field(default_factory=lambda: _NO_NUMBERS)
    columns: Mapping[int, int] = field(default_factory=dict)
    indexes: Sequence[Index | None] = ()
    by_row: Sequence[Mapping[int, Substitutes]] = ()

    def used(self, view: int, instance: int) -> tuple[Retrieved, Substitutes]:
        """What was retrieved of a view for one instance, and what stands for values that cannot be used."""
        if not self.indexes:
            return self.retrieved[view][instance], self.substitutes.get(instance, NO_SUBSTITUTES)
        index = self.indexes[view]
        row = instance if index is None else int(index[instance])
        return self.retrieved[view][row], self.by_row[view].get(row, NO_SUBSTITUTES)


class Decision(NamedTuple):
    """What becomes of one row that is not plain.

    Attributes:
        failure: Why its instance cannot be scored, if it cannot.
        substitutes: See `Assembly`.
        degraded: How many of its values count as degraded.
        defaulted: How many declared defaults are used.
        absent: How many of its values are not present, by status.
    """

    failure: FeatureError | None
    substitutes: Substitutes
    degraded: int
    defaulted: int
    absent: Mapping[Status, int]

    @property
    def concerns_instances(self) -> bool:
        """Whether an instance with such a row is to be told; nulls that shall just be missing are only counted."""
        return self.failure is not None or bool(self.substitutes)


class ViewJudge:
    """Decides on the rows of one view."""

    __slots__ = ("_by_nulls", "_features", "view")

    def __init__(self, view: FeatureView, features: Sequence[tuple[int, StoredFeature]]) -> None:
        self.view = view
        self._features = features
        self._by_nulls: dict[int, Decision] = {}

    def by_nulls(self, nulls: int) -> Decision:
        """What becomes of every row that has these nulls (bit i is set where column i is null) and no other fault."""
        known = self._by_nulls.get(nulls)
        if known is None:
            if len(self._by_nulls) >= _MASKS:
                self._by_nulls.clear()
            known = self.decide(Retrieved(FeatureRow(b"", (), nulls, None)), None)
            if known.failure is None:  # an exception is one occurrence, not to be shared
                self._by_nulls[nulls] = known
        return known

    def decide(self, one: Retrieved, oldest: float | None) -> Decision:
        """What becomes of one row, feature by feature."""
        failure: FeatureError | None = None
        substitutes: dict[int, Substitute] = {}
        absent: dict[Status, int] = {}
        degraded = defaulted = 0
        for at, feature in self._features:
            status = _status(one, self.view, feature.column, oldest)
            if status is Status.PRESENT:
                degraded += one.degraded
                continue
            absent[status] = absent.get(status, 0) + 1
            action = feature.absent.action(status)
            if action is Action.FAIL:
                failure = failure or _failure(feature.name, self.view.name, status, one.error)
                continue
            if status is Status.ERROR or one.degraded:
                degraded += 1
            elif action is Action.DEFAULT:
                defaulted += 1
            if status is not Status.NULL or action is not Action.MISSING:
                substitutes[at] = _substitute(feature, status, action)
        return Decision(failure, substitutes, degraded, defaulted, absent)


def view_judges(spec: Spec) -> tuple[ViewJudge, ...]:
    """Who decides on each view's rows."""
    stored = [(at, one) for at, one in enumerate(spec.features) if isinstance(one, StoredFeature)]
    return tuple(
        ViewJudge(view, [(at, feature) for at, feature in stored if feature.view == position])
        for position, view in enumerate(spec.views)
    )


class Judge:
    """Decides on the values of one spec's instances."""

    __slots__ = ("_ages_bounded", "_views")

    def __init__(self, spec: Spec) -> None:
        self._views = view_judges(spec)
        self._ages_bounded = any(view.max_age_s is not None for view in spec.views)

    def judge(
        self,
        instances: Instances,
        retrieved: Sequence[Sequence[Retrieved]],
        bounds: Bounds,
        wall: float,
        now: float = 0.0,
    ) -> Assembly:
        """What all instances are to be scored with.

        Args:
            instances: The request's instances.
            retrieved: For each view of the spec, what was retrieved for each instance.
            bounds: What the request demands.
            wall: Unix seconds now, for ages by event time.
            now: The same moment on the monotonic clock, for the times since reads.

        Returns:
            The decisions; failures by instance are in it, not raised.
        """
        result = Assembly(instances, retrieved, wall, now)
        self.judge_range(result, bounds, 0, len(instances))
        return result

    def judge_range(self, result: Assembly, bounds: Bounds, start: int, stop: int) -> None:
        """Decides on the instances from `start` to before `stop`."""
        bounded = self._ages_bounded or bounds.max_age_s is not None
        for judge, retrieved in zip(self._views, result.retrieved, strict=True):
            found = retrieved if len(retrieved) == stop - start else retrieved[start:stop]
            if not bounded:
                if type(found) is FoundRows:
                    _judge_found(judge, found, start, result)
                elif not all(map(_plain, found)):
                    _judge_odd(judge, odd_rows(found), start, result)
                continue
            oldest = oldest_event(result.wall, judge.view.max_age_s, bounds.max_age_s)
            for index, one in enumerate(found, start):
                if not one.plain or (one.row is not None and too_old(one.row.event_time, oldest)):
                    _apply(judge.decide(one, oldest), judge.view.name, index, result)
        if result.failures:  # not scored, so nothing was used in place of anything
            for index in range(start, stop):
                if index in result.failures:
                    result.degraded.pop(index, None)
                    result.defaulted.pop(index, None)


def odd_rows(found: Sequence[Retrieved]) -> list[tuple[int, Retrieved]]:
    """Those that are not plain, and their positions."""
    if type(found) is FoundRows:
        return [(at, found[at]) for at in found.odd]
    return [(at, one) for at, one in enumerate(found) if not one.plain]


def _judge_found(judge: ViewJudge, found: FoundRows, start: int, result: Assembly) -> None:
    """Decides on rows that are known by their nulls, and on the others one by one."""
    sets = found.null_sets()
    if len(sets) > _FEW_SETS:
        _judge_odd(judge, odd_rows(found), start, result)
        return
    for number, nulls, times in sets:
        decision = judge.by_nulls(nulls)
        count(decision, judge.view.name, result, times)
        if decision.concerns_instances:
            _enter_all(decision, found.having(number), start, result)
    _judge_odd(judge, [(at, found[at]) for at in found.unlike], start, result)


def _judge_odd(judge: ViewJudge, odd: Sequence[tuple[int, Retrieved]], start: int, result: Assembly) -> None:
    """Decides on rows that are not plain, by their nulls where nothing else is odd about them."""
    by_nulls: dict[int, list[int]] = {}
    for at, one in odd:
        if one.row is None or one.degraded:
            _apply(judge.decide(one, None), judge.view.name, start + at, result)
        else:
            by_nulls.setdefault(one.row.nulls, []).append(at)
    for nulls, alike in by_nulls.items():
        decision = judge.by_nulls(nulls)
        count(decision, judge.view.name, result, len(alike))
        if decision.concerns_instances:
            _enter_all(decision, alike, start, result)


def _apply(decision: Decision, view: str, index: int, result: Assembly) -> None:
    count(decision, view, result, 1)
    enter(decision, index, result)


def _enter_all(decision: Decision, alike: Sequence[int], start: int, result: Assembly) -> None:
    for at in alike:
        enter(decision, start + at, result)


def count(decision: Decision, view: str, result: Assembly, times: int) -> None:
    """Counts what is absent where a decision is taken so many times."""
    for status, values in decision.absent.items():
        result.absent[view, status] = result.absent.get((view, status), 0) + values * times


def enter(decision: Decision, index: int, result: Assembly) -> None:
    """Enters a decision, which others may share, for one instance."""
    if decision.failure is not None:
        result.failures.setdefault(index, decision.failure)
    if decision.degraded:
        result.degraded[index] = result.degraded.get(index, 0) + decision.degraded
    if decision.defaulted:
        result.defaulted[index] = result.defaulted.get(index, 0) + decision.defaulted
    if decision.substitutes:
        known = result.substitutes.get(index)
        result.substitutes[index] = {**known, **decision.substitutes} if known else decision.substitutes


def _substitute(feature: StoredFeature, status: Status, action: Action) -> Substitute:
    if action is Action.DEFAULT:
        return Substitute(feature.default, status, Source.DEFAULT)
    return Substitute(None, status, Source.MISSING)


def _status(one: Retrieved, view: FeatureView, column: int, oldest: float | None) -> Status:
    if one.error is not None:
        return Status.ERROR
    row = one.row
    if row is None:
        return Status.NOT_FOUND
    if row.nulls >> column & 1:
        return Status.NULL
    return Status.OUTSIDE_MAX_AGE if too_old(view.layout.event_time(row, column), oldest) else Status.PRESENT


def _failure(feature: str, view: str, status: Status, error: FeaturesError | None) -> FeatureError:
    if error is not None:
        return FeatureUnread(f"{feature!r} of {view!r} could not be read", feature=feature, view=view, cause=error)
    if status is Status.NOT_FOUND:
        return EntityNotFound(f"{view!r} holds no row for this entity", feature=feature, view=view)
    reason = "is null" if status is Status.NULL else "is older than it may be"
    return FeatureAbsent(f"{feature!r} of {view!r} {reason}", feature=feature, view=view)
