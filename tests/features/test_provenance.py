"""What the store said, where the value came from, how old it is."""

from dataclasses import replace

import pytest

from features.assembly import Assembler, Piece
from features.errors import StoreTimeout
from features.freshness import Bounds
from features.judging import Judge
from features.keys import KeyPart
from features.planning import Instance, Instances
from features.provenance import UsedValue, explain
from features.spec import (
    AbsentPolicy,
    Action,
    DerivedFeature,
    Entity,
    FeatureView,
    RequestFeature,
    RequestField,
    Spec,
    StoredFeature,
)
from features.transforms import BUILT_IN
from features.values import Column, DType, Retrieved, RowLayout, Source, Status, Value

NOW = 1_000.0
MOMENT = 100.0
"""The same instant on the monotonic clock."""
LAYOUT = RowLayout((Column("balance", DType.FLOAT), Column("visits", DType.INT), Column("city", DType.STRING)))
_ENTITY = Entity("customer", (KeyPart("customer_id"),))
_DEFAULT = AbsentPolicy(Action.DEFAULT, Action.DEFAULT, Action.DEFAULT, Action.DEFAULT)
_MISSING = AbsentPolicy(Action.MISSING, Action.MISSING, Action.MISSING, Action.MISSING)
SPEC = Spec(
    "n",
    "1",
    (_ENTITY,),
    (FeatureView("account", _ENTITY, LAYOUT),),
    (RequestField("amount", DType.FLOAT), RequestField("count", DType.INT), RequestField("channel", DType.STRING)),
    (
        DerivedFeature("twice_removed", BUILT_IN["abs"], (1,)),
        DerivedFeature("amount_to_balance", BUILT_IN["ratio"], (5, 2)),
        StoredFeature("balance", 0, 0, DType.FLOAT, absent=_DEFAULT, default=4.0),
        StoredFeature("visits", 0, 1, DType.INT, absent=_MISSING),
        StoredFeature("city", 0, 2, DType.STRING, absent=_MISSING, missing_category="none"),
        RequestFeature("amount", 0, DType.FLOAT),
        RequestFeature("count", 1, DType.INT),
        RequestFeature("channel", 2, DType.STRING),
    ),
)
FULL: dict[str, Value] = {"balance": 10.0, "visits": 2**53 + 1, "city": "Oslo"}


def _explained(
    one: Retrieved, *, max_age_s: float | None = None, amount: float = 2.0, spec: Spec = SPEC
) -> dict[str, UsedValue]:
    assembler = Assembler(spec, {4, 7})
    instances = Instances.of([Instance(("C1",), (amount, 3, "web"))])
    assembly = Judge(spec).judge(instances, [[one]], Bounds(max_age_s=max_age_s), NOW, MOMENT)
    assert assembly.failures == {}
    assembler.vectors([Piece(assembly, 0, 1)])
    return explain(spec, assembly, 0)


def test_every_feature_is_told_in_the_models_order() -> None:
    told = _explained(Retrieved(LAYOUT.pack(FULL, NOW - 71), Source.CACHE, MOMENT - 0.5))
    assert list(told) == [feature.name for feature in SPEC.features]
    assert told == {
        "twice_removed": UsedValue(0.2, Status.PRESENT, Source.DERIVED),
        "amount_to_balance": UsedValue(0.2, Status.PRESENT, Source.DERIVED),
        "balance": UsedValue(10.0, Status.PRESENT, Source.CACHE, 71.0, 0.5),
        "visits": UsedValue(2**53 + 1, Status.PRESENT, Source.CACHE, 71.0, 0.5),
        "city": UsedValue("Oslo", Status.PRESENT, Source.CACHE, 71.0, 0.5),
        "amount": UsedValue(2.0, Status.PRESENT, Source.REQUEST),
        "count": UsedValue(3, Status.PRESENT, Source.REQUEST),
        "channel": UsedValue("web", Status.PRESENT, Source.REQUEST),
    }


@pytest.mark.parametrize("source", [Source.STORE, Source.CACHE, Source.STALE])
def test_a_present_value_names_where_its_row_came_from(source: Source) -> None:
    assert _explained(Retrieved(LAYOUT.pack(FULL, NOW), source))["balance"].source is source


@pytest.mark.parametrize(("fresh_for_s", "source"), [(0.001, Source.CACHE), (0.0, Source.STALE), (-0.3, Source.STALE)])
def test_a_row_whose_ttl_ended_while_another_view_was_read_is_told_as_stale(fresh_for_s: float, source: Source) -> None:
    told = _explained(Retrieved(LAYOUT.pack(FULL, NOW), Source.CACHE, MOMENT - 2, fresh_until=MOMENT + fresh_for_s))
    assert told["balance"] == UsedValue(10.0, Status.PRESENT, source, 0.0, 2.0)


def test_a_row_served_too_stale_keeps_its_status_and_its_source() -> None:
    told = _explained(Retrieved(LAYOUT.pack(FULL, NOW), Source.STALE, 1.0, degraded=True))
    assert told["balance"] == UsedValue(10.0, Status.PRESENT, Source.STALE, 0.0, 99.0)


@pytest.mark.parametrize(
    ("one", "max_age_s", "status", "age_s", "cached_s"),
    [
        (Retrieved(LAYOUT.pack({}, NOW - 5), Source.CACHE, MOMENT - 0.5), None, Status.NULL, 5.0, 0.5),
        (Retrieved(None, Source.CACHE, MOMENT - 0.5), None, Status.NOT_FOUND, None, 0.5),
        (Retrieved(LAYOUT.pack(FULL, NOW - 61), Source.CACHE, MOMENT - 0.5), 60, Status.OUTSIDE_MAX_AGE, 61.0, 0.5),
        (Retrieved(LAYOUT.pack(FULL, None), Source.CACHE, MOMENT - 0.5), 60, Status.OUTSIDE_MAX_AGE, None, 0.5),
        (Retrieved(None, error=StoreTimeout("slow")), None, Status.ERROR, None, None),
    ],
)
def test_a_substitute_tells_what_the_store_said_and_what_was_used(
    one: Retrieved, max_age_s: float | None, status: Status, age_s: float | None, cached_s: float | None
) -> None:
    told = _explained(one, max_age_s=max_age_s)
    assert told["balance"] == UsedValue(4.0, status, Source.DEFAULT, age_s, cached_s)
    assert told["visits"] == UsedValue(None, status, Source.MISSING, age_s, cached_s)
    assert told["city"] == UsedValue(None, status, Source.MISSING, age_s, cached_s)
    # 2.0 / 4.0: the default is a number, but what is derived from it is not quite as good as present
    assert told["amount_to_balance"] == UsedValue(0.5, status, Source.DERIVED)
    assert told["twice_removed"].status is status


def test_an_undefined_result_is_null_though_its_inputs_are_present() -> None:
    told = _explained(Retrieved(LAYOUT.pack({**FULL, "balance": 0.0}, NOW)))
    assert told["amount_to_balance"] == UsedValue(None, Status.NULL, Source.DERIVED)
    assert told["twice_removed"] == UsedValue(None, Status.NULL, Source.DERIVED)


def test_a_value_from_the_future_is_of_age_zero() -> None:
    assert _explained(Retrieved(LAYOUT.pack(FULL, NOW + 500)))["balance"].age_s == 0.0


def test_ages_are_those_of_each_value() -> None:
    told = _explained(Retrieved(LAYOUT.pack(FULL, NOW - 5, {"visits": NOW - 7, "city": None})))
    assert [told[name].age_s for name in ("balance", "visits", "city")] == [5.0, 7.0, None]


def test_a_requests_float_is_told_as_the_shortest_decimal_of_its_float32() -> None:
    row = Retrieved(LAYOUT.pack(FULL, NOW))
    assert _explained(row, amount=12.34000015258789)["amount"].value == 12.34
    assert _explained(row, amount=-0.0)["amount"].value == 0.0
    assert _explained(row, amount=1e30)["amount"].value == 1e30


def test_a_sensitive_value_is_left_out_and_so_is_what_is_derived_from_it() -> None:
    features = [*SPEC.features]
    features[2] = StoredFeature("balance", 0, 0, DType.FLOAT, absent=_DEFAULT, default=4.0, sensitive=True)
    features[6] = RequestFeature("count", 1, DType.INT, sensitive=True)
    secretive = replace(SPEC, features=tuple(features))
    row = Retrieved(LAYOUT.pack(FULL, NOW - 71), Source.CACHE, MOMENT - 0.5)
    told = _explained(row, spec=secretive)
    plain = _explained(row)
    hidden = ("twice_removed", "amount_to_balance", "balance", "count")
    assert told == {
        name: used._replace(value=None, masked=True) if name in hidden else used for name, used in plain.items()
    }


def test_a_read_that_is_younger_than_the_moment_of_assembly_is_of_age_zero() -> None:
    """Between two slices of a large request another one may have read the row."""
    assert _explained(Retrieved(LAYOUT.pack(FULL, NOW), Source.CACHE, MOMENT + 1))["balance"].cached_s == 0.0
