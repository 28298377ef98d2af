"""From rows and request fields to the model's vectors, and to the story of each value. Pure.

Numbers are assembled in one float64 matrix `(n_rows, n_numeric)`: of each view, the packed numbers of all rows are
joined and copied in as one block. Only a row that is not plainly usable (no row, a null, too old, degraded) is looked
at feature by feature. float32, the model's own type, is made of the finished matrix, so derived features are computed
from exact values.

Instances have nothing to do with each other, so the matrix may be filled range by range: `begin`, then `fill` for each.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from features.errors import EntityNotFound, FeatureAbsent, FeatureError, FeaturesError, FeatureUnread, SpecError
from features.freshness import Bounds, oldest_event, too_old
from features.planning import Instance
from features.spec import Action, DerivedFeature, Feature, FeatureView, RequestFeature, Spec, StoredFeature
from features.values import DType, FeatureRow, Retrieved, Source, Status, Value

_Counted = TypeVar("_Counted", int, tuple[str, str])


@dataclass(frozen=True, slots=True)
class Substitute:
    """What is used in place of a value that cannot be used as it is."""

    value: Value
    status: Status
    source: Source


@dataclass(slots=True)
class Assembly:
    """The vectors of one request and what had to be done to get them.

    Attributes:
        instances: The request's instances.
        retrieved: For each view of the spec, what was retrieved for each instance.
        wall: Unix seconds at which ages were taken.
        columns: Which column of `numeric` a feature's number is in, by position of the feature.
        numeric: float64, `(n_rows, n_numeric)`, the numeric features in the model's order.
        categorical: Texts, `(n_rows, n_categorical)`, the categorical features in the model's order.
        failures: Why an instance cannot be scored, by its index; its vector means nothing.
        substitutes: By instance and feature, where a value was put in place of the stored one.
        degraded: By instance, how many values were substituted because of an error or served too stale.
        defaulted: By instance, how many declared defaults stand for absent values.
        absent: How many values of all instances, failed ones too, are not present, by view and status.
    """

    instances: Sequence[Instance]
    retrieved: Sequence[list[Retrieved]]
    wall: float
    columns: Mapping[int, int]
    numeric: NDArray[np.float64]
    categorical: NDArray[np.object_]
    failures: dict[int, FeatureError] = field(default_factory=dict)
    substitutes: dict[tuple[int, int], Substitute] = field(default_factory=dict)
    degraded: dict[int, int] = field(default_factory=dict)
    defaulted: dict[int, int] = field(default_factory=dict)
    absent: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def numeric32(self) -> NDArray[np.float32]:
        """The numbers as the model takes them."""
        return as_float32(self.numeric)


def as_float32(numeric: NDArray[np.float64]) -> NDArray[np.float32]:
    """Numbers as the model takes them: float32, column after column."""
    return numeric.astype(np.float32, order="F")


@dataclass(frozen=True, slots=True)
class _ViewPlan:
    """Where the features of one view go.

    Attributes:
        features: Its features: position in the spec, feature, and column of the matrix (None for a category).
        targets: Columns of the matrix that take its numbers.
        sources: Positions of the same numbers in a row.
    """

    view: FeatureView
    features: tuple[tuple[int, StoredFeature, int | None], ...]
    targets: NDArray[np.intp]
    sources: NDArray[np.intp]


class Assembler:
    """Knows where every feature of one spec goes."""

    __slots__ = ("_categorical", "_derived", "_numeric_at", "_requested", "_spec", "_views", "n_numeric")

    def __init__(self, spec: Spec, categorical: Collection[int]) -> None:
        """Works the places out.

        Args:
            spec: The bundle's spec.
            categorical: Positions of the features that the model takes as categories.

        Raises:
            SpecError: A feature is derived from a category, or its type has no place where the model wants it.
        """
        self._spec = spec
        for at, feature in enumerate(spec.features):
            _check_place(feature, category=at in categorical)
        numeric = [at for at in range(len(spec.features)) if at not in categorical]
        self._numeric_at: dict[int, int] = {feature: column for column, feature in enumerate(numeric)}
        self._categorical = tuple(sorted(categorical))
        self.n_numeric = len(numeric)
        self._views = tuple(self._view_plan(at) for at in range(len(spec.views)))
        self._requested = tuple(
            (self._numeric_at[at], feature.field)
            for at, feature in enumerate(spec.features)
            if isinstance(feature, RequestFeature) and at in self._numeric_at
        )
        self._derived = tuple(self._derivation(at) for at in spec.derivation_order)

    def _view_plan(self, view: int) -> _ViewPlan:
        mine = [
            (at, feature)
            for at, feature in enumerate(self._spec.features)
            if isinstance(feature, StoredFeature) and feature.view == view
        ]
        layout = self._spec.views[view].layout
        numbers = [
            (self._numeric_at[at], layout.number_position(feature.column))
            for at, feature in mine
            if at in self._numeric_at
        ]
        return _ViewPlan(
            self._spec.views[view],
            tuple((at, feature, self._numeric_at.get(at)) for at, feature in mine),
            np.array([target for target, _ in numbers], dtype=np.intp),
            np.array([source for _, source in numbers], dtype=np.intp),
        )

    def _derivation(self, at: int) -> tuple[int, DerivedFeature, tuple[int, ...]]:
        feature = self._spec.features[at]
        assert isinstance(feature, DerivedFeature)  # noqa: S101  # `derivation_order` holds no other; for the type checker
        for position in (at, *feature.inputs):
            if position not in self._numeric_at:
                name = self._spec.features[position].name
                raise SpecError(f"feature {feature.name}", f"{name!r} is categorical in the model, not a number")
        return self._numeric_at[at], feature, tuple(self._numeric_at[position] for position in feature.inputs)

    def assemble(
        self,
        instances: Sequence[Instance],
        retrieved: Sequence[list[Retrieved]],
        bounds: Bounds,
        wall: float,
    ) -> Assembly:
        """The vectors of all instances.

        Args:
            instances: The request's instances.
            retrieved: For each view of the spec, what was retrieved for each instance.
            bounds: What the request demands.
            wall: Unix seconds now, for ages.

        Returns:
            The vectors and the substitutions; failures by instance are in it, not raised.
        """
        result = self.begin(instances, retrieved, wall)
        self.fill(result, bounds, 0, len(instances))
        return result

    def begin(self, instances: Sequence[Instance], retrieved: Sequence[list[Retrieved]], wall: float) -> Assembly:
        """The assembly of these instances, nothing filled in yet."""
        numeric = np.empty((len(instances), self.n_numeric))
        categorical = np.empty((len(instances), len(self._categorical)), dtype=object)
        return Assembly(instances, retrieved, wall, self._numeric_at, numeric, categorical)

    def fill(self, result: Assembly, bounds: Bounds, start: int, stop: int) -> None:
        """Makes the vectors of the instances from `start` to before `stop`."""
        block, instances = result.numeric[start:stop], result.instances[start:stop]
        for plan, retrieved in zip(self._views, result.retrieved, strict=True):
            found = retrieved[start:stop]
            rows = [one.row for one in found]
            self._copy_numbers(plan, rows, block)
            oldest = oldest_event(result.wall, plan.view.max_age_s, bounds.max_age_s)
            for index, (one, row) in enumerate(zip(found, rows, strict=True), start):
                if row is None or row.nulls or one.degraded or (oldest is not None and too_old(row.event_time, oldest)):
                    self._look_closely(plan, index, one, oldest, result)
        if result.failures:  # not scored, so nothing was used in place of anything
            for index in range(start, stop):
                if index in result.failures:
                    result.degraded.pop(index, None)
                    result.defaulted.pop(index, None)
        for column, position in self._requested:
            block[:, column] = [instance.fields[position] for instance in instances]
        for column, feature, inputs in self._derived:
            block[:, column] = feature.transform(*(block[:, at] for at in inputs))
        if self._categorical and start < stop:
            texts = [self._texts(at, start, stop, result) for at in self._categorical]
            result.categorical[start:stop] = list(zip(*texts, strict=True))

    @staticmethod
    def _copy_numbers(plan: _ViewPlan, rows: Sequence[FeatureRow | None], block: NDArray[np.float64]) -> None:
        if not len(plan.targets):
            return
        nothing = plan.view.layout.no_numbers
        packed = b"".join([nothing if row is None else row.numbers for row in rows])
        stored = np.frombuffer(packed, dtype=np.float64).reshape(len(rows), len(plan.view.layout.numeric))
        block[:, plan.targets] = stored[:, plan.sources]

    @staticmethod
    def _look_closely(plan: _ViewPlan, index: int, one: Retrieved, oldest: float | None, result: Assembly) -> None:
        """Decides on each feature of a row that is not plainly usable."""
        row = one.row
        # Nothing but nulls is odd about most of them: then a value that is not null is as it should be.
        nulls = row.nulls if row is not None and oldest is None and not one.degraded else -1
        for at, feature, target in plan.features:
            if not nulls >> feature.column & 1:
                continue
            status = _status(one, plan.view, feature.column, oldest)
            if status is Status.PRESENT:
                if one.degraded:
                    _count(result.degraded, index)
                continue
            _count(result.absent, (plan.view.name, status))
            action = feature.absent.action(status)
            if action is Action.FAIL:
                result.failures.setdefault(index, _failure(feature.name, plan.view.name, status, one.error))
                continue
            if status is Status.ERROR or one.degraded:
                _count(result.degraded, index)
            elif action is Action.DEFAULT:
                _count(result.defaulted, index)
            substitute = _substitute(feature, status, action)
            result.substitutes[index, at] = substitute
            if target is not None:
                result.numeric[index, target] = np.nan if substitute.value is None else float(substitute.value)

    def _texts(self, at: int, start: int, stop: int, result: Assembly) -> list[str]:
        """The categories of one feature."""
        feature = self._spec.features[at]
        if isinstance(feature, RequestFeature):
            return [str(instance.fields[feature.field]) for instance in result.instances[start:stop]]
        assert isinstance(feature, StoredFeature)  # noqa: S101  # a derived category was refused at the start
        position = self._spec.views[feature.view].layout.exact_position(feature.column)
        rows = [one.row for one in result.retrieved[feature.view][start:stop]]
        # None where there is no row: it is substituted, or the instance has failed and its vector means nothing
        values: list[Value] = [None if row is None else row.exact[position] for row in rows]
        if result.substitutes:
            for index in range(start, stop):
                substitute = result.substitutes.get((index, at))
                if substitute is not None:
                    values[index - start] = substitute.value
        return [feature.missing_category if value is None else str(value) for value in values]


def _check_place(feature: Feature, *, category: bool) -> None:
    if not category and not feature.dtype.numeric:
        raise SpecError(f"feature {feature.name}", "is text, but the model takes it as a number")
    if category and feature.dtype is DType.FLOAT and not isinstance(feature, DerivedFeature):
        raise SpecError(f"feature {feature.name}", "is a float, but the model takes it as a category")


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


def _count(counts: dict[_Counted, int], one: _Counted) -> None:
    counts[one] = counts.get(one, 0) + 1
