"""From rows and request fields to the model's vectors, and to the story of each value. Pure.

Numbers are assembled in one float64 matrix `(n_rows, n_numeric)`: of each view, the packed numbers of all rows are
joined and copied in as one block. Only a row that is not plainly usable (no row, a null, too old, degraded) is looked
at feature by feature. float32, the model's own type, is made of the finished matrix, so derived features are computed
from exact values.
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
from features.values import DType, Retrieved, Source, Status, Value

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
        categorical: Text, `(n_rows, n_categorical)`, the categorical features in the model's order.
        failures: Why an instance cannot be scored, by its index; its vector means nothing.
        substitutes: By instance and feature, where a value was put in place of the stored one.
        degraded: By instance, how many values were substituted because of an error or served too stale.
        defaulted: By instance, how many declared defaults stand for absent values.
        absent: How many values of all instances, failed ones too, are not present, by view and status.
    """

    instances: Sequence[Instance]
    retrieved: Sequence[Sequence[Retrieved]]
    wall: float
    columns: Mapping[int, int]
    numeric: NDArray[np.float64]
    categorical: list[list[str]] = field(default_factory=list)
    failures: dict[int, FeatureError] = field(default_factory=dict)
    substitutes: dict[tuple[int, int], Substitute] = field(default_factory=dict)
    degraded: dict[int, int] = field(default_factory=dict)
    defaulted: dict[int, int] = field(default_factory=dict)
    absent: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def numeric32(self) -> NDArray[np.float32]:
        """The numbers as the model takes them: float32, column after column."""
        return self.numeric.astype(np.float32, order="F")


@dataclass(frozen=True, slots=True)
class _ViewPlan:
    """Where the features of one view go.

    Attributes:
        features: Positions of its features in the spec.
        targets: Columns of the matrix that take its numbers.
        sources: Positions of the same numbers in a row.
    """

    view: FeatureView
    features: tuple[int, ...]
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
            tuple(at for at, _ in mine),
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
        retrieved: Sequence[Sequence[Retrieved]],
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
        numeric = np.empty((len(instances), self.n_numeric))
        result = Assembly(instances, retrieved, wall, self._numeric_at, numeric)
        for plan, rows in zip(self._views, retrieved, strict=True):
            self._copy_numbers(plan, rows, result)
            oldest = oldest_event(wall, plan.view.max_age_s, bounds.max_age_s)
            for index, one in enumerate(rows):
                row = one.row
                if row is None or row.nulls or one.degraded or too_old(row.event_time, oldest):
                    self._look_closely(plan, index, one, oldest, result)
        for index in result.failures:  # not scored, so nothing was used in place of anything
            result.degraded.pop(index, None)
            result.defaulted.pop(index, None)
        for column, position in self._requested:
            result.numeric[:, column] = [instance.fields[position] for instance in instances]
        for column, feature, inputs in self._derived:
            result.numeric[:, column] = feature.transform(*(result.numeric[:, at] for at in inputs))
        if self._categorical:
            result.categorical = [
                [self._category(at, index, result) for at in self._categorical] for index in range(len(instances))
            ]
        return result

    @staticmethod
    def _copy_numbers(plan: _ViewPlan, rows: Sequence[Retrieved], result: Assembly) -> None:
        if not len(plan.targets):
            return
        nothing = plan.view.layout.no_numbers
        packed = b"".join([one.row.numbers if one.row is not None else nothing for one in rows])
        block = np.frombuffer(packed, dtype=np.float64).reshape(len(rows), len(plan.view.layout.numeric))
        result.numeric[:, plan.targets] = block[:, plan.sources]

    def _look_closely(
        self, plan: _ViewPlan, index: int, one: Retrieved, oldest: float | None, result: Assembly
    ) -> None:
        """Decides on each feature of a row that is not plainly usable."""
        for at in plan.features:
            feature = self._spec.features[at]
            assert isinstance(feature, StoredFeature)  # noqa: S101  # `plan.features` are; tells the type checker
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
            if at in self._numeric_at:
                number = np.nan if substitute.value is None else float(substitute.value)
                result.numeric[index, self._numeric_at[at]] = number

    def _category(self, at: int, index: int, result: Assembly) -> str:
        feature = self._spec.features[at]
        if isinstance(feature, RequestFeature):
            return str(result.instances[index].fields[feature.field])
        assert isinstance(feature, StoredFeature)  # noqa: S101  # a derived category was refused at the start
        substitute = result.substitutes.get((index, at))
        row = result.retrieved[feature.view][index].row
        if substitute is not None:
            value = substitute.value
        elif row is not None:
            value = self._spec.views[feature.view].layout.value(row, feature.column)
        else:
            value = None  # the instance has failed; its vector means nothing
        return feature.missing_category if value is None else str(value)


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
