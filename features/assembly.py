"""From rows and request fields to the model's vectors, of many requests at once. Pure.

Of each view, the packed numbers of all rows are joined and copied into one float64 matrix as one block, so that derived
features are computed from exact values; float32, the model's own type, is made of the finished matrix. What stands for
values that cannot be used was decided before (`features.judging`).

Where many instances share few rows, each row is packed once, with what stands for its values, and the matrix is filled
column by column from those (`Assembler.shared_vectors`): 0.1 us an instance where rows one by one take 0.7.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.columns import side_by_side
from features.errors import SpecError
from features.found_rows import FoundRows
from features.judging import Assembly, Substitutes
from features.spec import DerivedFeature, Feature, FeatureView, RequestFeature, Spec, StoredFeature
from features.values import DType, FeatureRow, Retrieved, Value

_numbers: Final = attrgetter("numbers")

_Places = slice | NDArray[np.intp]


class Piece(NamedTuple):
    """The instances of one request from `start` to before `stop`."""

    assembly: Assembly
    start: int
    stop: int


class Vectors(NamedTuple):
    """What the model is given.

    Attributes:
        numeric: float64, `(n_rows, n_numeric)`, the numeric features in the model's order.
        categorical: Texts, `(n_rows, n_categorical)`, the categorical features in the model's order.
    """

    numeric: NDArray[np.float64]
    categorical: NDArray[np.object_]


def as_float32(numeric: NDArray[np.float64]) -> NDArray[np.float32]:
    """Numbers as the model takes them: float32, column after column."""
    return numeric.astype(np.float32, order="F")


@dataclass(frozen=True, slots=True)
class _ViewPlan:
    """Where the features of one view go.

    Attributes:
        at: The view's position in the spec.
        nothing: Stands for a row that is not there.
        columns: Columns of the matrix that take its numbers.
        targets: The same as places; None if it has none.
        sources: Positions of the same numbers in a row.
        categories: Place among the categories, the feature, and its position among a row's exact values and its texts.
        all_texts: Whether all categories are texts.
    """

    at: int
    view: FeatureView
    nothing: FeatureRow
    columns: tuple[int, ...]
    targets: _Places | None
    sources: _Places
    categories: tuple[tuple[int, StoredFeature, int, int], ...]
    all_texts: bool


class Assembler:
    """Knows where every feature of one spec goes.

    Attributes:
        spec: The spec.
        n_numeric: How many features are numbers.
    """

    __slots__ = ("_categorical", "_derived", "_numeric_at", "_requested", "_texts", "_views", "n_numeric", "spec")

    def __init__(self, spec: Spec, categorical: Collection[int]) -> None:
        """Works the places out.

        Args:
            spec: The bundle's spec.
            categorical: Positions of the features that the model takes as categories.

        Raises:
            SpecError: A feature is derived from a category, or its type has no place where the model wants it.
        """
        self.spec = spec
        for at, feature in enumerate(spec.features):
            _check_place(feature, category=at in categorical)
        numeric = [at for at in range(len(spec.features)) if at not in categorical]
        self._numeric_at: dict[int, int] = {feature: column for column, feature in enumerate(numeric)}
        self._categorical = tuple(sorted(categorical))
        self.n_numeric = len(numeric)
        self._views = tuple(self._view_plan(at) for at in range(len(spec.views)))
        requested = [(at, one) for at, one in enumerate(spec.features) if isinstance(one, RequestFeature)]
        self._requested = tuple((self._numeric_at[at], one.field) for at, one in requested if at in self._numeric_at)
        self._texts = tuple((self._categorical.index(at), one) for at, one in requested if at not in self._numeric_at)
        self._derived = tuple(self._derivation(at) for at in spec.derivation_order)

    def _view_plan(self, view: int) -> _ViewPlan:
        mine = [
            (at, feature)
            for at, feature in enumerate(self.spec.features)
            if isinstance(feature, StoredFeature) and feature.view == view
        ]
        layout = self.spec.views[view].layout
        numbers = [
            (self._numeric_at[at], layout.number_position(feature.column))
            for at, feature in mine
            if at in self._numeric_at
        ]
        return _ViewPlan(
            view,
            self.spec.views[view],
            layout.pack({}, None),
            tuple(target for target, _ in numbers),
            _places([target for target, _ in numbers]) if numbers else None,
            _places([source for _, source in numbers]),
            tuple(
                (
                    self._categorical.index(at),
                    feature,
                    layout.exact_position(feature.column),
                    layout.text_position(feature.column),
                )
                for at, feature in mine
                if at not in self._numeric_at
            ),
            all(feature.dtype is DType.STRING for at, feature in mine if at not in self._numeric_at),
        )

    def _derivation(self, at: int) -> tuple[int, DerivedFeature, tuple[int, ...]]:
        feature = self.spec.features[at]
        assert isinstance(feature, DerivedFeature)  # noqa: S101  # `derivation_order` holds no other; for the type checker
        for position in (at, *feature.inputs):
            if position not in self._numeric_at:
                name = self.spec.features[position].name
                raise SpecError(f"feature {feature.name}", f"{name!r} is categorical in the model, not a number")
        return self._numeric_at[at], feature, tuple(self._numeric_at[position] for position in feature.inputs)

    def vectors(self, pieces: Sequence[Piece]) -> Vectors:
        """The vectors of instances that have been judged, in the order of the pieces; each learns its own numbers."""
        sizes = [stop - start for _, start, stop in pieces]
        numeric = np.empty((sum(sizes), self.n_numeric), order="F")
        categorical = np.empty((sum(sizes), len(self._categorical)), dtype=object, order="F")
        one_each = sizes.count(1) == len(sizes)  # as nearly always; runs of 64 take a sixth longer
        for plan in self._views:
            if one_each:
                alone = [assembly.retrieved[plan.at][start] for assembly, start, _ in pieces]
                self._put_rows(plan, alone, numeric, categorical)
                continue
            row = 0
            for found in _runs(pieces, plan.at):
                end = row + len(found)
                self._put_rows(plan, found, numeric[row:end], categorical[row:end])
                row = end
        self._put_fields(pieces, numeric, categorical)
        self._put_substitutes(pieces, numeric, categorical)
        self._derive(numeric)
        self._hand_out(pieces, numeric)
        return Vectors(numeric, categorical)

    def shared_vectors(self, assembly: Assembly) -> Vectors:
        """The vectors of all instances of an assembly that `features.sharing` made; bit by bit those of `vectors`.

        `numeric` is made column after column, which is how the model takes it.
        """
        n_rows = len(assembly.instances)
        numeric = np.empty((n_rows, self.n_numeric), order="F")
        categorical = np.empty((n_rows, len(self._categorical)), dtype=object)
        for plan, retrieved, index in zip(self._views, assembly.retrieved, assembly.indexes, strict=True):
            if index is None:
                self._put_view(plan, retrieved, assembly.by_row[plan.at], numeric, categorical)
                continue
            numbers = np.empty((len(retrieved), self.n_numeric), order="F")
            texts = np.empty((len(retrieved), len(self._categorical)), dtype=object)
            self._put_view(plan, retrieved, assembly.by_row[plan.at], numbers, texts)
            for column in plan.columns:
                np.take(numbers[:, column], index, out=numeric[:, column], mode="clip")
            for place, *_ in plan.categories:
                categorical[:, place] = texts[:, place][index]
        pieces = [Piece(assembly, 0, n_rows)]
        self._put_fields(pieces, numeric, categorical)
        self._derive(numeric)
        self._hand_out(pieces, numeric)
        return Vectors(numeric, categorical)

    def _put_view(
        self,
        plan: _ViewPlan,
        found: Sequence[Retrieved],
        by_row: Mapping[int, Substitutes],
        numeric: NDArray[np.float64],
        categorical: NDArray[np.object_],
    ) -> None:
        """Puts one view's rows where they go, and what stands for their values."""
        self._put_rows(plan, found, numeric, categorical)
        for row, substitutes in by_row.items():
            for at, substitute in substitutes.items():
                self._put(at, substitute.value, row, numeric, categorical)

    def _put_rows(
        self,
        plan: _ViewPlan,
        found: Sequence[Retrieved],
        numeric: NDArray[np.float64],
        categorical: NDArray[np.object_],
    ) -> None:
        """Puts one view's rows where they go, as columns if that is what they are."""
        if type(found) is FoundRows and plan.all_texts and (block := found.block()):
            if plan.targets is not None:
                numeric[:, plan.targets] = block.numbers[:, plan.sources]
            odd = np.flatnonzero(found.nulls)
            for place, feature, _, text in plan.categories:
                categorical[:, place] = block.texts[:, text]
                if len(odd):
                    missing = odd[np.equal(block.texts[odd, text], None)]  # type: ignore[call-overload]  # None is an object
                    categorical[missing, place] = feature.missing_category
            return
        # nothing but nulls where there is no row: it is substituted, or its instance has failed
        rows = [plan.nothing if (row := one.row) is None else row for one in found]
        if not rows:
            return
        if plan.targets is not None:
            stored = side_by_side(rows)
            if stored is None:
                stored = np.frombuffer(b"".join(map(_numbers, rows))).reshape(len(rows), -1)
            numeric[:, plan.targets] = stored[:, plan.sources]
        _put_categories(plan, rows, categorical)

    def _put_fields(
        self, pieces: Sequence[Piece], numeric: NDArray[np.float64], categorical: NDArray[np.object_]
    ) -> None:
        for column, position in self._requested:
            numeric[:, column] = _fields(pieces, position)
        for place, feature in self._texts:
            values = _fields(pieces, feature.field)
            categorical[:, place] = values if feature.dtype is DType.STRING else [str(value) for value in values]

    def _derive(self, numeric: NDArray[np.float64]) -> None:
        for column, derived, inputs in self._derived:
            numeric[:, column] = derived.transform(*(numeric[:, at] for at in inputs))

    def _put_substitutes(
        self, pieces: Sequence[Piece], numeric: NDArray[np.float64], categorical: NDArray[np.object_]
    ) -> None:
        row = 0
        for assembly, start, stop in pieces:
            for index, substitutes in assembly.substitutes.items():
                if start <= index < stop:
                    for at, substitute in substitutes.items():
                        self._put(at, substitute.value, row + index - start, numeric, categorical)
            row += stop - start

    def _put(
        self, at: int, value: Value, row: int, numeric: NDArray[np.float64], categorical: NDArray[np.object_]
    ) -> None:
        if at in self._numeric_at:
            numeric[row, self._numeric_at[at]] = np.nan if value is None else float(value)
            return
        feature = self.spec.features[at]
        assert isinstance(feature, StoredFeature)  # noqa: S101  # nothing else is ever replaced; for the type checker
        categorical[row, self._categorical.index(at)] = feature.missing_category if value is None else str(value)

    def _hand_out(self, pieces: Sequence[Piece], numeric: NDArray[np.float64]) -> None:
        """Gives every assembly its own rows of the matrix, to tell derived values from."""
        row = 0
        for assembly, start, stop in pieces:
            mine = numeric[row : row + stop - start]
            row += stop - start
            assembly.columns = self._numeric_at
            if len(mine) == len(assembly.instances):
                assembly.numeric = mine
            else:
                if not len(assembly.numeric):
                    assembly.numeric = np.empty((len(assembly.instances), self.n_numeric))
                assembly.numeric[start:stop] = mine


def _runs(pieces: Sequence[Piece], view: int) -> Iterator[Sequence[Retrieved]]:
    """The rows of one view in order: those of pieces that were found together as they are, others joined."""
    joined: list[Retrieved] = []
    for assembly, start, stop in pieces:
        found = assembly.retrieved[view]
        if type(found) is FoundRows and stop - start == len(found):
            if joined:
                yield joined
                joined = []
            yield found
        else:
            joined += found[start:stop]
    if joined:
        yield joined


def _put_categories(plan: _ViewPlan, rows: Sequence[FeatureRow], categorical: NDArray[np.object_]) -> None:
    for place, feature, position, _ in plan.categories:
        values = [row.exact[position] for row in rows]
        # of texts in a list each is compared with None, which takes twice as long
        if feature.dtype is not DType.STRING or None in set(values):
            values = [feature.missing_category if one is None else str(one) for one in values]
        categorical[:, place] = values


def _fields(pieces: Sequence[Piece], position: int) -> list[Value]:
    if len(pieces) == 1 and len(pieces[0].assembly.instances) == pieces[0].stop - pieces[0].start:
        return pieces[0].assembly.instances.fields[position]
    return [value for assembly, start, stop in pieces for value in assembly.instances.fields[position][start:stop]]


def _places(positions: Sequence[int]) -> _Places:
    """Places in an array; neighbours in order as a slice, which is copied several times as fast."""
    if positions and list(positions) == list(range(positions[0], positions[0] + len(positions))):
        return slice(positions[0], positions[0] + len(positions))
    return np.array(positions, dtype=np.intp)


def _check_place(feature: Feature, *, category: bool) -> None:
    if not category and not feature.dtype.numeric:
        raise SpecError(f"feature {feature.name}", "is text, but the model takes it as a number")
    if category and feature.dtype is DType.FLOAT and not isinstance(feature, DerivedFeature):
        raise SpecError(f"feature {feature.name}", "is a float, but the model takes it as a category")
