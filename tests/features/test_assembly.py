"""From rows and request fields to the model's vectors."""

import dataclasses
import math
from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.assembly import Assembler, Piece, as_float32
from features.errors import EntityNotFound, FeatureAbsent, FeatureError, FeatureUnread, SpecError, StoreTimeout
from features.freshness import Bounds
from features.judging import Assembly, Judge, Substitute
from features.keys import KeyPart
from features.planning import Instance, Instances
from features.spec import (
    AbsentPolicy,
    Action,
    DerivedFeature,
    Entity,
    Feature,
    FeatureView,
    RequestFeature,
    RequestField,
    Spec,
    StoredFeature,
)
from features.transforms import BUILT_IN
from features.values import Column, DType, FeatureRow, Retrieved, RowLayout, Source, Status, Value

NOW = 1_000.0
ENTITY = Entity("customer", (KeyPart("customer_id"),))
LAYOUT = RowLayout(
    (
        Column("balance", DType.FLOAT),
        Column("visits", DType.INT),
        Column("city", DType.STRING),
        Column("active", DType.BOOL),
    )
)
VIEW = FeatureView("account", ENTITY, LAYOUT)
FULL: dict[str, Value] = {"balance": 10.0, "visits": 3, "city": "Oslo", "active": True}
INSTANCE = Instance(("C1",), (2.0, "web"))
FIELDS = (RequestField("amount", DType.FLOAT), RequestField("channel", DType.STRING))


def _spec(*features: Feature, views: tuple[FeatureView, ...] = (VIEW,)) -> Spec:
    return Spec("n", "1", (ENTITY,), views, FIELDS, features)


def _stored(name: str, column: int, **more: object) -> StoredFeature:
    feature = StoredFeature(name, 0, column, LAYOUT.columns[column].dtype)
    return dataclasses.replace(feature, **more)  # type: ignore[arg-type]  # the tests name real fields


BALANCE, VISITS, CITY, ACTIVE = (_stored(column.name, at) for at, column in enumerate(LAYOUT.columns))
AMOUNT, CHANNEL = RequestFeature("amount", 0, DType.FLOAT), RequestFeature("channel", 1, DType.STRING)


def _row(values: dict[str, Value] | None = None, event_time: float | None = NOW, **times: float | None) -> FeatureRow:
    return LAYOUT.pack(FULL if values is None else values, event_time, times)


class Made:
    """What became of the instances of one request."""

    def __init__(
        self,
        assembler: Assembler,
        instances: Sequence[Instance],
        rows: Sequence[Sequence[Retrieved]],
        max_age_s: float | None = None,
        cuts: Sequence[int] = (),
    ) -> None:
        columns = Instances(len(INSTANCE.keys), len(INSTANCE.fields)) if not instances else Instances.of(instances)
        assembly = Assembly(columns, rows, NOW, 0.0)
        judge = Judge(assembler.spec)
        pieces = [Piece(assembly, *part) for part in pairwise([0, *cuts, len(instances)])]
        for _, start, stop in pieces:
            judge.judge_range(assembly, Bounds(max_age_s=max_age_s), start, stop)
        made = [assembler.vectors([piece]) for piece in pieces]
        self.numeric = np.concatenate([one.numeric for one in made])
        self.categorical = np.concatenate([one.categorical for one in made])
        self.assembly = assembly
        self.columns = assembly.columns
        self.failures = assembly.failures
        self.substitutes = assembly.substitutes
        self.degraded = assembly.degraded
        self.defaulted = assembly.defaulted
        self.absent = assembly.absent


def _assemble(spec: Spec, *rows: Retrieved, categorical: tuple[int, ...] = (), max_age_s: float | None = None) -> Made:
    return Made(Assembler(spec, categorical), [INSTANCE] * len(rows), [rows], max_age_s)


def test_numbers_and_categories_go_each_to_their_place_in_the_models_order() -> None:
    spec = _spec(CITY, AMOUNT, VISITS, CHANNEL, BALANCE, ACTIVE)
    assembler = Assembler(spec, {0, 3})
    assert assembler.n_numeric == 4
    result = Made(assembler, [INSTANCE], [[Retrieved(_row())]])
    assert result.numeric.tolist() == [[2.0, 3.0, 10.0, 1.0]]
    assert result.categorical.tolist() == [["Oslo", "web"]]
    assert result.columns == {1: 0, 2: 1, 4: 2, 5: 3}
    assert (result.failures, result.substitutes, result.degraded, result.defaulted) == ({}, {}, {}, {})


def test_an_integer_can_be_a_category_and_keeps_all_its_digits() -> None:
    spec = _spec(VISITS, BALANCE, ACTIVE)
    row = _row({**FULL, "visits": 2**53 + 1})
    result = _assemble(spec, Retrieved(row), categorical=(0, 2))
    assert result.categorical.tolist() == [["9007199254740993", "True"]]
    assert result.numeric.tolist() == [[10.0]]


def test_the_matrix_for_the_model_is_float32_and_contiguous_and_derived_from_exact_values() -> None:
    spec = _spec(BALANCE, DerivedFeature("difference", BUILT_IN["difference"], (0, 0)), AMOUNT)
    result = _assemble(spec, Retrieved(_row({**FULL, "balance": 16_777_217.0})))
    assert result.numeric.dtype == np.float64
    numeric32 = as_float32(result.numeric)
    assert numeric32.dtype == np.float32
    assert numeric32.flags.f_contiguous
    assert numeric32[0].tolist() == [16_777_216.0, 0.0, 2.0]


def test_no_instances_make_an_empty_matrix() -> None:
    result = _assemble(_spec(BALANCE, CITY, AMOUNT), categorical=(1,))
    assert result.numeric.shape == (0, 2)
    assert result.categorical.size == 0


def test_a_view_of_categories_alone_has_no_numbers_to_copy() -> None:
    result = _assemble(_spec(CITY), Retrieved(_row()), categorical=(0,))
    assert result.numeric.shape == (1, 0)
    assert result.categorical.tolist() == [["Oslo"]]


def test_composite_keys_and_several_views_are_assembled_by_instance() -> None:
    other = FeatureView("pair", Entity("pair", (KeyPart("a"), KeyPart("b"))), RowLayout((Column("x", DType.FLOAT),)))
    spec = _spec(StoredFeature("x", 1, 0, DType.FLOAT), BALANCE, views=(VIEW, other))
    rows = [[Retrieved(_row({"balance": 1.0})), Retrieved(_row({"balance": 2.0}))]]
    rows.append([Retrieved(other.layout.pack({"x": number}, NOW)) for number in (7.0, 8.0)])
    result = Made(Assembler(spec, ()), [Instance(("A", "B"))] * 2, rows)
    assert result.numeric.tolist() == [[7.0, 1.0], [8.0, 2.0]]


# Derived features


def test_derived_features_follow_their_inputs_and_not_the_order_of_the_list() -> None:
    spec = _spec(
        DerivedFeature("half", BUILT_IN["ratio"], (1, 3)),
        DerivedFeature("sum", BUILT_IN["sum"], (2, 3)),
        BALANCE,
        AMOUNT,
    )
    assert _assemble(spec, Retrieved(_row())).numeric.tolist() == [[6.0, 12.0, 10.0, 2.0]]


def test_a_derived_feature_sees_the_default_and_not_the_null() -> None:
    policy = AbsentPolicy(null=Action.DEFAULT)
    spec = _spec(
        _stored("balance", 0, absent=policy, default=4.0), AMOUNT, DerivedFeature("r", BUILT_IN["ratio"], (1, 0))
    )
    assert _assemble(spec, Retrieved(_row({}))).numeric.tolist() == [[4.0, 2.0, 0.5]]


def test_a_division_by_zero_is_missing() -> None:
    spec = _spec(BALANCE, AMOUNT, DerivedFeature("r", BUILT_IN["ratio"], (1, 0)))
    assert math.isnan(_assemble(spec, Retrieved(_row({**FULL, "balance": 0.0}))).numeric[0, 2])


# Where model and spec disagree


@pytest.mark.parametrize(
    ("features", "categorical", "problem"),
    [
        ((CITY, BALANCE), (), "feature city: is text, but the model takes it as a number"),
        ((CHANNEL,), (), "feature channel: is text, but the model takes it as a number"),
        ((BALANCE,), (0,), "feature balance: is a float, but the model takes it as a category"),
        ((AMOUNT,), (0,), "feature amount: is a float, but the model takes it as a category"),
        (
            (BALANCE, DerivedFeature("d", BUILT_IN["abs"], (0,))),
            (1,),
            "feature d: 'd' is categorical in the model, not a number",
        ),
        (
            (VISITS, DerivedFeature("d", BUILT_IN["abs"], (0,))),
            (0,),
            "feature d: 'visits' is categorical in the model, not a number",
        ),
    ],
)
def test_a_feature_that_has_no_place_where_the_model_wants_it_is_refused(
    features: tuple[Feature, ...], categorical: tuple[int, ...], problem: str
) -> None:
    with pytest.raises(SpecError) as refused:
        Assembler(_spec(*features), categorical)
    assert str(refused.value) == problem


# Every status and every action

_UNREAD = StoreTimeout("slow")
_BY_STATUS: dict[Status, Retrieved] = {
    Status.NULL: Retrieved(_row({"active": True})),
    Status.NOT_FOUND: Retrieved(None),
    Status.OUTSIDE_MAX_AGE: Retrieved(_row(event_time=NOW - 100)),
    Status.ERROR: Retrieved(None, error=_UNREAD),
}
_ERRORS: dict[Status, tuple[type[FeatureError], str]] = {
    Status.NULL: (FeatureAbsent, "'balance' of 'account' is null"),
    Status.NOT_FOUND: (EntityNotFound, "'account' holds no row for this entity"),
    Status.OUTSIDE_MAX_AGE: (FeatureAbsent, "'balance' of 'account' is older than it may be"),
    Status.ERROR: (FeatureUnread, "'balance' of 'account' could not be read"),
}


def _all(action: Action) -> AbsentPolicy:
    return AbsentPolicy(action, action, action, action)


@pytest.mark.parametrize(("status", "action"), list(product(_BY_STATUS, Action)))
def test_every_status_is_met_by_the_action_that_its_policy_names(status: Status, action: Action) -> None:
    spec = _spec(
        _stored("balance", 0, absent=_all(action), default=7.0),
        _stored("city", 2, absent=_all(action), default="Rome", missing_category="none"),
    )
    result = _assemble(spec, _BY_STATUS[status], categorical=(1,), max_age_s=60)
    if action is Action.FAIL:
        kind, message = _ERRORS[status]
        failure = result.failures[0]
        assert type(failure) is kind
        assert str(failure) == message
        assert (failure.feature, failure.view) == ("balance", "account")
        assert not isinstance(failure, FeatureUnread) or failure.cause is _UNREAD
        assert (result.substitutes, result.degraded, result.defaulted) == ({}, {}, {})
        return
    value, category, source = (
        (7.0, "Rome", Source.DEFAULT) if action is Action.DEFAULT else (None, "none", Source.MISSING)
    )
    np.testing.assert_array_equal(result.numeric, [[math.nan if value is None else value]])
    assert result.categorical.tolist() == [[category]]
    if status is Status.NULL and action is Action.MISSING:
        assert result.substitutes == {}  # the row says it itself
    else:
        assert result.substitutes[0][0] == Substitute(value, status, source)
    assert result.failures == {}
    assert result.degraded == ({0: 2} if status is Status.ERROR else {})
    assert result.defaulted == ({0: 2} if status is not Status.ERROR and action is Action.DEFAULT else {})


def test_every_absent_value_is_counted_whatever_becomes_of_its_instance() -> None:
    """Of three rows one is whole, one has a null that a default stands for, and one could not be read."""
    policy = AbsentPolicy(null=Action.DEFAULT, error=Action.FAIL)
    spec = _spec(dataclasses.replace(BALANCE, absent=policy, default=0.0), dataclasses.replace(VISITS, absent=policy))
    rows = (Retrieved(_row()), Retrieved(_row({**FULL, "balance": None})), Retrieved(None, error=StoreTimeout("late")))
    result = _assemble(spec, *rows)
    assert list(result.failures) == [2]
    assert result.absent == {("account", Status.NULL): 1, ("account", Status.ERROR): 2}


def test_the_first_failure_of_an_instance_is_told_and_the_others_are_scored() -> None:
    spec = _spec(_stored("visits", 1, absent=_all(Action.FAIL)), _stored("balance", 0, absent=_all(Action.FAIL)))
    result = _assemble(spec, Retrieved(_row()), Retrieved(None), Retrieved(_row()))
    assert list(result.failures) == [1]
    assert result.failures[1].feature == "visits"
    assert result.numeric[[0, 2]].tolist() == [[3.0, 10.0]] * 2


def test_a_failed_instance_has_a_category_that_means_nothing() -> None:
    result = _assemble(_spec(CITY), Retrieved(None), categorical=(0,))
    assert list(result.failures) == [0]
    assert result.categorical.tolist() == [["nan"]]


# Ages


@pytest.mark.parametrize(
    ("view_s", "request_s", "event_time", "fine"),
    [
        (None, None, None, True),
        (None, None, 0.0, True),
        (60, None, NOW - 60, True),
        (60, None, NOW - 60.001, False),
        (None, 60, NOW - 60.001, False),
        (60, 30, NOW - 45, False),
        (30, 60, NOW - 45, False),
        (60, None, None, False),
        (None, 60, None, False),
        (60, None, NOW + 500, True),
    ],
)
def test_a_value_is_too_old_by_the_tighter_of_the_views_and_the_requests_bound(
    view_s: float | None,
    request_s: float | None,
    event_time: float | None,
    fine: bool,  # noqa: FBT001  # a parameter of the table above
) -> None:
    spec = _spec(BALANCE, views=(dataclasses.replace(VIEW, max_age_s=view_s),))
    result = _assemble(spec, Retrieved(_row(event_time=event_time)), max_age_s=request_s)
    assert (result.failures == {}) is fine


def test_each_value_is_as_old_as_its_own_event_time() -> None:
    spec = _spec(*(dataclasses.replace(one, absent=_all(Action.MISSING)) for one in (BALANCE, VISITS, ACTIVE)))
    result = _assemble(spec, Retrieved(_row(visits=NOW - 99, active=None)), max_age_s=60)
    np.testing.assert_array_equal(result.numeric, [[10.0, math.nan, math.nan]])
    assert {at: one.status for at, one in result.substitutes[0].items()} == {
        1: Status.OUTSIDE_MAX_AGE,
        2: Status.OUTSIDE_MAX_AGE,
    }


def test_a_null_is_null_however_old() -> None:
    spec = _spec(dataclasses.replace(BALANCE, absent=_all(Action.DEFAULT), default=1.0))
    result = _assemble(spec, Retrieved(_row({}, event_time=0.0)), max_age_s=60)
    assert result.substitutes[0][0].status is Status.NULL


# Counting


def test_every_value_of_a_row_served_too_stale_counts_as_degraded() -> None:
    stale = Retrieved(_row(), Source.STALE, 99.0, degraded=True)
    result = _assemble(_spec(BALANCE, CITY, AMOUNT), Retrieved(_row()), stale, categorical=(1,))
    assert result.degraded == {1: 2}
    assert result.substitutes == {}
    assert result.numeric.tolist() == [[10.0, 2.0]] * 2


def test_a_default_in_a_row_served_too_stale_counts_as_degraded_once() -> None:
    spec = _spec(_stored("balance", 0, absent=_all(Action.DEFAULT), default=1.0), VISITS)
    result = _assemble(spec, Retrieved(_row({"visits": 1}), Source.STALE, 99.0, degraded=True))
    assert (result.degraded, result.defaulted) == ({0: 2}, {})


def test_of_an_instance_that_is_not_scored_nothing_is_counted() -> None:
    spec = _spec(_stored("balance", 0, absent=_all(Action.DEFAULT), default=1.0), VISITS)
    spec = dataclasses.replace(spec, features=(*spec.features, _stored("city", 2, absent=_all(Action.FAIL))))
    rows = [Retrieved(_row({})), Retrieved(_row({"visits": 1}), degraded=True)]
    result = _assemble(spec, *rows, categorical=(2,))
    assert set(result.failures) == {0, 1}
    assert (result.degraded, result.defaulted) == ({}, {})


def test_a_row_served_while_it_is_revalidated_is_not_degraded() -> None:
    assert _assemble(_spec(BALANCE), Retrieved(_row(), Source.STALE, 5.0)).degraded == {}


# The block copy against the obvious way


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Spec, set[int], list[Instance], list[list[Retrieved]]]:
    views = []
    features: list[Feature] = []
    for view in range(draw(st.integers(1, 3))):
        dtypes = draw(st.lists(st.sampled_from(DType), min_size=1, max_size=5))
        layout = RowLayout(tuple(Column(f"c{at}", dtype) for at, dtype in enumerate(dtypes)))
        views.append(FeatureView(f"v{view}", ENTITY, layout))
        for column in draw(st.lists(st.integers(0, len(dtypes) - 1), max_size=6)):
            name = f"f{len(features)}"
            features.append(StoredFeature(name, view, column, dtypes[column], absent=_all(Action.MISSING)))
    features.append(AMOUNT)
    features = draw(st.permutations(features))
    categorical = {at for at, feature in enumerate(features) if feature.dtype is DType.STRING}
    categorical |= {at for at, one in enumerate(features) if one.dtype is DType.INT and draw(st.booleans())}
    n_rows = draw(st.integers(0, 4))
    instances = [Instance(("C",), (float(number), "web")) for number in range(n_rows)]
    rows = [[draw(_rows(view.layout)) for _ in range(n_rows)] for view in views]
    return _spec(*features, views=tuple(views)), categorical, instances, rows


@st.composite
def _rows(draw: st.DrawFn, layout: RowLayout) -> Retrieved:
    if draw(st.integers(0, 4)) == 0:
        return Retrieved(None)
    values: dict[DType, st.SearchStrategy[Value]] = {
        DType.FLOAT: st.floats(-1e30, 1e30),
        DType.INT: st.integers(-(2**63), 2**63 - 1),
        DType.BOOL: st.booleans(),
        DType.STRING: st.text(max_size=3),
    }
    return Retrieved(
        layout.pack({column.name: draw(st.none() | values[column.dtype]) for column in layout.columns}, NOW)
    )


@given(_cases())
def test_copying_in_blocks_equals_going_feature_by_feature(
    case: tuple[Spec, set[int], list[Instance], list[list[Retrieved]]],
) -> None:
    spec, categorical, instances, rows = case
    result = Made(Assembler(spec, categorical), instances, rows)
    numbers: list[list[float]] = []
    texts: list[list[str]] = []
    for index, instance in enumerate(instances):
        numbers.append([])
        texts.append([])
        for at, feature in enumerate(spec.features):
            if isinstance(feature, StoredFeature):
                row = rows[feature.view][index].row
                value = None if row is None else spec.views[feature.view].layout.value(row, feature.column)
            else:
                assert isinstance(feature, RequestFeature)
                value = instance.fields[feature.field]
            if at in categorical:
                texts[-1].append("nan" if value is None else str(value))
            else:
                numbers[-1].append(math.nan if value is None else float(value))
    shape = (len(instances), len(spec.features) - len(categorical))
    np.testing.assert_array_equal(result.numeric, np.array(numbers, dtype=np.float64).reshape(shape))
    assert result.categorical.tolist() == texts


@given(_cases(), st.lists(st.integers(0, 4)))
def test_going_range_by_range_equals_going_over_all_at_once(
    case: tuple[Spec, set[int], list[Instance], list[list[Retrieved]]], cuts: list[int]
) -> None:
    spec, categorical, instances, rows = case
    assembler = Assembler(spec, categorical)
    whole = Made(assembler, instances, rows, 60)
    result = Made(assembler, instances, rows, 60, sorted(cut for cut in cuts if cut < len(instances)))
    np.testing.assert_array_equal(result.assembly.numeric, whole.assembly.numeric)
    np.testing.assert_array_equal(result.numeric, whole.numeric)
    assert result.categorical.tolist() == whole.categorical.tolist()
    assert (result.substitutes, result.degraded, result.defaulted) == (
        whole.substitutes,
        whole.degraded,
        whole.defaulted,
    )
    assert {at: str(one) for at, one in result.failures.items()} == {at: str(one) for at, one in whole.failures.items()}


def test_rows_with_the_same_nulls_are_decided_upon_alike_and_counted_each() -> None:
    policy = AbsentPolicy(null=Action.DEFAULT)
    spec = _spec(_stored("balance", 0, absent=policy, default=4.0), VISITS)
    rows = [Retrieved(_row({**FULL, "balance": None})) for _ in range(3)]
    result = _assemble(spec, Retrieved(_row()), *rows)
    assert result.numeric.tolist() == [[10.0, 3.0]] + [[4.0, 3.0]] * 3
    assert result.defaulted == {1: 1, 2: 1, 3: 1}
    assert result.absent == {("account", Status.NULL): 3}


def test_each_instance_that_fails_by_its_nulls_has_a_failure_of_its_own() -> None:
    """An exception that two requests raised would carry the traceback of both."""
    judge = Judge(_spec(_stored("balance", 0, absent=_all(Action.FAIL))))
    first, second = (judge.judge(Instances.of([INSTANCE]), [[Retrieved(_row({}))]], Bounds(), NOW) for _ in range(2))
    assert first.failures[0] is not second.failures[0]


def test_what_is_remembered_of_sets_of_nulls_is_bounded() -> None:
    columns = tuple(Column(f"c{at}", DType.FLOAT) for at in range(13))
    view = FeatureView("wide", ENTITY, RowLayout(columns))
    spec = _spec(*(StoredFeature(one.name, 0, at, one.dtype) for at, one in enumerate(columns)), views=(view,))
    judge = Judge(spec)
    for nulls in range(1, 2**13):
        values: dict[str, Value] = {one.name: None if nulls >> at & 1 else 1.0 for at, one in enumerate(columns)}
        made = judge.judge(Instances.of([INSTANCE]), [[Retrieved(view.layout.pack(values, NOW))]], Bounds(), NOW)
        assert made.absent == {("wide", Status.NULL): nulls.bit_count()}


@given(_cases())
def test_the_vectors_of_several_requests_are_theirs_one_after_the_other(
    case: tuple[Spec, set[int], list[Instance], list[list[Retrieved]]],
) -> None:
    """Every instance a request of its own, all in one matrix, against each in a matrix of its own."""
    spec, categorical, instances, rows = case
    assembler = Assembler(spec, categorical)
    together, alone = [], []
    for index, instance in enumerate(instances):
        mine = [[view[index]] for view in rows]
        assembly = Judge(spec).judge(Instances.of([instance]), mine, Bounds(), NOW)
        together.append(Piece(assembly, 0, 1))
        alone.append(Made(assembler, [instance], mine))
    vectors = assembler.vectors(together)
    for index, one in enumerate(alone):
        np.testing.assert_array_equal(vectors.numeric[index : index + 1], one.numeric)
        np.testing.assert_array_equal(together[index].assembly.numeric, one.numeric)
        assert vectors.categorical[index].tolist() == one.categorical[0].tolist()
