"""Rows that many instances share are judged and packed once, and nothing tells it from judging each instance alone."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.assembly import Assembler, Piece, Vectors
from features.errors import EntityNotFound, StoreAnswerInvalid, StoreTimeout
from features.freshness import Bounds
from features.judging import Assembly, Index, Judge
from features.keys import KeyPart
from features.planning import Instance, Instances
from features.provenance import explain
from features.sharing import SharedJudge
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
from features.values import Column, DType, Retrieved, RowLayout, Source, Value

WALL, NOW = 1_000.0, 50.0
ENTITY = Entity("customer", (KeyPart("customer_id"),))
ACCOUNT = RowLayout((Column("balance", DType.FLOAT), Column("visits", DType.INT), Column("city", DType.STRING)))
RISK = RowLayout((Column("rate", DType.FLOAT), Column("kind", DType.STRING)))
FIELDS = (RequestField("amount", DType.FLOAT), RequestField("channel", DType.STRING))
_TO_DEFAULT = AbsentPolicy(*[Action.DEFAULT] * 4)
_TO_MISSING = AbsentPolicy(*[Action.MISSING] * 4)
FEATURES: tuple[Feature, ...] = (
    StoredFeature("city", 0, 2, DType.STRING, absent=_TO_DEFAULT, default="Rome"),
    RequestFeature("amount", 0, DType.FLOAT),
    StoredFeature("visits", 0, 1, DType.INT, absent=_TO_DEFAULT, default=3),
    StoredFeature("rate", 1, 0, DType.FLOAT, absent=_TO_MISSING),
    RequestFeature("channel", 1, DType.STRING),
    StoredFeature("balance", 0, 0, DType.FLOAT),
    DerivedFeature("amount_to_balance", BUILT_IN["ratio"], (1, 5)),
    StoredFeature("kind", 1, 1, DType.STRING, absent=AbsentPolicy(error=Action.MISSING)),
    DerivedFeature("log_rate", BUILT_IN["log1p"], (3,)),
)
CATEGORICAL = (0, 4, 7)

_numbers = st.none() | st.sampled_from([0.0, -1.5, 1e-30, 16_777_217.0, 0.1])
_texts = st.none() | st.sampled_from(["Oslo", "Lima"])
_times = st.none() | st.sampled_from([WALL - 5, WALL - 50, WALL + 5])
_errors = st.sampled_from([StoreTimeout("slow"), StoreAnswerInvalid("odd")])


def _account(balance: Value, visits: Value, city: Value, time: float | None, balance_time: float | None) -> Retrieved:
    row = ACCOUNT.pack({"balance": balance, "visits": visits, "city": city}, time, {"balance": balance_time})
    return Retrieved(row, Source.CACHE, NOW - 1)


_no_rows = st.just(Retrieved(None, Source.STORE, NOW)) | _errors.map(lambda error: Retrieved(None, error=error))
_accounts = _no_rows | st.builds(_account, _numbers, st.none() | st.integers(-(2**60), 2**60), _texts, _times, _times)
_risks = _no_rows | st.builds(
    lambda rate, kind, time, degraded: Retrieved(
        RISK.pack({"rate": rate, "kind": kind}, time), Source.STALE if degraded else Source.STORE, NOW, degraded
    ),
    _numbers, _texts, _times, st.booleans(),
)  # fmt: skip


@st.composite
def _shares(draw: st.DrawFn) -> tuple[list[list[Retrieved]], list[Index | None], int]:
    """Rows of two views, which of them each instance uses, and how many instances there are."""
    size = draw(st.integers(1, 12))
    rows, indexes = [], []
    for kinds in (_accounts, _risks):
        if draw(st.booleans()):
            rows.append(draw(st.lists(kinds, min_size=size, max_size=size)))
            indexes.append(None)
        else:
            rows.append(draw(st.lists(kinds, min_size=1, max_size=5)))
            places = st.integers(0, len(rows[-1]) - 1)
            indexes.append(np.array(draw(st.lists(places, min_size=size, max_size=size)), dtype=np.intp))
    return rows, indexes, size


def _spec(view_max_age_s: float | None) -> Spec:
    views = (FeatureView("account", ENTITY, ACCOUNT, max_age_s=view_max_age_s), FeatureView("risk", ENTITY, RISK))
    return Spec("n", "1", (ENTITY,), views, FIELDS, FEATURES)


def _instances(size: int) -> Instances:
    return Instances.of([Instance((f"C{at}",), (float(at), "web" if at % 2 else "pos")) for at in range(size)])


def _one_by_one(
    spec: Spec, rows: Sequence[Sequence[Retrieved]], indexes: Sequence[Index | None], bounds: Bounds, size: int
) -> tuple[Assembly, Vectors]:
    """The same instances, each with rows of its own."""
    places: list[Sequence[int]] = [range(size) if index is None else index.tolist() for index in indexes]
    alone = [[of_view[at] for at in mine] for of_view, mine in zip(rows, places, strict=True)]
    assembly = Judge(spec).judge(_instances(size), alone, bounds, WALL, NOW)
    return assembly, Assembler(spec, CATEGORICAL).vectors([Piece(assembly, 0, size)])


def _shared(
    spec: Spec, rows: Sequence[Sequence[Retrieved]], indexes: Sequence[Index | None], bounds: Bounds, size: int
) -> tuple[Assembly, Vectors]:
    assembly = SharedJudge(spec).judge(_instances(size), rows, indexes, bounds, wall=WALL, now=NOW)
    return assembly, Assembler(spec, CATEGORICAL).shared_vectors(assembly)


def _told(assembly: Assembly) -> dict[int, tuple[type, str]]:
    return {index: (type(error), str(error)) for index, error in assembly.failures.items()}


@given(_shares(), st.sampled_from([None, 20.0]), st.sampled_from([None, 10.0]))
def test_decisions_vectors_and_stories_are_those_of_instances_judged_one_by_one(
    shares: tuple[list[list[Retrieved]], list[Index | None], int],
    view_max_age_s: float | None,
    max_age_s: float | None,
) -> None:
    rows, indexes, size = shares
    spec, bounds = _spec(view_max_age_s), Bounds(max_age_s=max_age_s)
    alone, wanted = _one_by_one(spec, rows, indexes, bounds, size)
    shared, found = _shared(spec, rows, indexes, bounds, size)
    assert _told(shared) == _told(alone)
    assert (shared.degraded, shared.defaulted, shared.absent) == (alone.degraded, alone.defaulted, alone.absent)
    assert found.categorical.tolist() == wanted.categorical.tolist()
    assert found.numeric.tobytes() == wanted.numeric.tobytes()  # NaN and -0.0 too
    for index in range(size):
        stories = [explain(spec, assembly, index) for assembly in (shared, alone)]
        assert repr(stories[0]) == repr(stories[1])


def test_a_failure_concerns_only_the_instances_that_use_the_row() -> None:
    rows = [[_account(1.0, 2, "Oslo", WALL, WALL), Retrieved(None)], [Retrieved(RISK.pack({"rate": 1.0}, WALL))]]
    indexes: list[Index | None] = [np.array([0, 1, 0], dtype=np.intp), np.zeros(3, dtype=np.intp)]
    assembly, _ = _shared(_spec(None), rows, indexes, Bounds(), 3)
    assert list(assembly.failures) == [1]
    assert isinstance(assembly.failures[1], EntityNotFound)


def test_a_row_that_nobody_uses_decides_nothing() -> None:
    rows = [[_account(1.0, None, "Oslo", WALL, WALL), Retrieved(None)], [Retrieved(RISK.pack({"rate": 1.0}, WALL))]]
    assembly, _ = _shared(_spec(None), rows, [np.array([1], dtype=np.intp), None], Bounds(), 1)
    assert assembly.defaulted == {}
    assert assembly.absent == {("account", "NOT_FOUND"): 3, ("risk", "NULL"): 1}


@pytest.mark.parametrize("name", ["exp", "log", "log1p", "sin", "tanh", "sqrt", "cbrt", "expm1", "arctan"])
def test_numpy_computes_alike_on_columns_that_lie_together_and_apart(name: str) -> None:
    """What a transform makes of a column must not hang on how the matrix lies in memory."""
    apart = np.random.default_rng(5).uniform(0.001, 50, (10_000, 7))
    together = np.asfortranarray(apart)
    function = getattr(np, name)
    for column, size in product(range(7), (1, 3, 10_000)):
        one_by_one = [function(apart[at : at + 1, column]) for at in range(min(size, 50))]
        found = function(together[:size, column])
        assert found.tobytes() == function(apart[:size, column]).tobytes()
        assert found[:50].tolist() == [one.item() for one in one_by_one]
        assert not math.isnan(found.sum())
