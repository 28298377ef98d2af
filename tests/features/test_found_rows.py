"""Rows that were found together are judged, assembled and told like the same rows one by one, whatever comes since."""

from collections.abc import Sequence
from itertools import product
from operator import is_
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.assembly import Assembler, Piece, Vectors
from features.cache import ViewCache
from features.columns import side_by_side
from features.found_rows import Block, FoundRows
from features.freshness import Bounds
from features.judging import Assembly, Judge
from features.keys import KeyPart
from features.planning import Instance, Instances
from features.provenance import explain
from features.second_chance import SecondChance
from features.sharing import SharedJudge
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
    single_view_spec,
)
from features.transforms import BUILT_IN
from features.values import Column, DType, FeatureRow, Retrieved, RowLayout

NOW, WALL = 100.0, 1_000.0
ENTITY = Entity("customer", (KeyPart("customer_id"),))
ACCOUNT = RowLayout(
    (
        Column("city", DType.STRING),
        Column("balance", DType.FLOAT),
        Column("visits", DType.INT),
        Column("tier", DType.STRING),
    )
)
RISK = RowLayout((Column("rate", DType.FLOAT), Column("kind", DType.INT), Column("active", DType.BOOL)))
VIEWS = (FeatureView("account", ENTITY, ACCOUNT), FeatureView("risk", ENTITY, RISK))
LENIENT = AbsentPolicy(Action.MISSING, Action.DEFAULT, Action.DEFAULT)
FEATURES = (
    StoredFeature("city", 0, 0, DType.STRING, missing_category="nowhere"),
    StoredFeature("balance", 0, 1, DType.FLOAT, absent=LENIENT, default=1.5),
    StoredFeature("visits", 0, 2, DType.INT, absent=AbsentPolicy(Action.FAIL, Action.DEFAULT), default=3),
    StoredFeature("tier", 0, 3, DType.STRING, absent=AbsentPolicy(Action.DEFAULT, Action.DEFAULT), default="none"),
    StoredFeature("rate", 1, 0, DType.FLOAT),
    StoredFeature("kind", 1, 1, DType.INT, missing_category="odd"),
    StoredFeature("active", 1, 2, DType.BOOL),
    RequestFeature("amount", 0, DType.FLOAT),
    DerivedFeature("share", BUILT_IN["ratio"], (7, 1)),
)
SPEC = Spec("n", "1", (ENTITY,), VIEWS, (RequestField("amount", DType.FLOAT),), FEATURES)
STRICT = Spec(
    "n", "1", (ENTITY,), VIEWS, SPEC.fields, (FEATURES[0], StoredFeature("balance", 0, 1, DType.FLOAT), *FEATURES[2:])
)
CATEGORICAL = (0, 3, 5)
KEYS = tuple("ABCDEFGH")

_numbers = st.none() | st.sampled_from([0.0, -0.0, -1.5, 16_777_217.0, 0.1])
_texts = st.none() | st.sampled_from(["Oslo", "Lima"])
_times = st.none() | st.sampled_from([WALL - 5, WALL - 50])
_accounts = st.builds(
    lambda balance, visits, city, tier, time, older: ACCOUNT.pack(
        {"balance": balance, "visits": visits, "city": city, "tier": tier}, time, {"city": WALL - 70} if older else None
    ),
    _numbers, st.none() | st.integers(-(2**60), 2**60), _texts, _texts, _times, st.booleans(),
)  # fmt: skip
_risks = st.builds(
    lambda rate, kind, active, time: RISK.pack({"rate": rate, "kind": kind, "active": active}, time),
    _numbers, st.none() | st.integers(0, 3), st.none() | st.booleans(), _times,
)  # fmt: skip
_rows = (st.none() | _accounts, st.none() | _risks)


class Later(NamedTuple):
    """Another row comes, after so many of three steps."""

    step: int
    view: int
    key: str
    row: FeatureRow | None


@st.composite
def _later(draw: st.DrawFn) -> Later:
    view = draw(st.integers(0, 1))
    return Later(draw(st.integers(0, 3)), view, draw(st.sampled_from([*KEYS, "new", "newer"])), draw(_rows[view]))


class Memory:
    """Two views of one entity, each with something known of every key, and room for no more keys."""

    def __init__(self, rows: Sequence[Sequence[FeatureRow | None]]) -> None:
        self.places = SecondChance(len(KEYS))
        self.caches = [ViewCache(view, self.places, lambda: 0.0) for view in VIEWS]
        for cache, of_view in zip(self.caches, rows, strict=True):
            for key, row in zip(KEYS, of_view, strict=True):
                cache.put(key, row, NOW)

    def found(self, keys: Sequence[str]) -> list[Sequence[Retrieved]]:
        places = self.places.find_all(keys)
        together = [cache.fresh_together(keys, places, NOW) for cache in self.caches]
        return [one for one in together if one is not None]

    def one_by_one(self, keys: Sequence[str]) -> list[Sequence[Retrieved]]:
        """The same, and nobody else has to do with it."""
        return [[_copy(cache.get(key)) for key in keys] for cache in self.caches]

    def go_on(self, later: Sequence[Later], step: int) -> None:
        for one in later:
            if one.step == step:
                self.caches[one.view].put(one.key, one.row, NOW + 1)


def _copy(one: Retrieved | None) -> Retrieved:
    assert one is not None
    row = one.row and FeatureRow(one.row.numbers, one.row.exact, one.row.nulls, one.row.event_time, one.row.event_times)
    return Retrieved(row, one.source, one.read_at, fresh_until=one.fresh_until)


def _instances(size: int) -> Instances:
    return Instances.of([Instance((f"C{at}",), (at + 0.5,)) for at in range(size)])


def _told(assembly: Assembly) -> object:
    failures = {at: (type(error), str(error)) for at, error in assembly.failures.items()}
    stories = [repr(explain(SPEC, assembly, at)) for at in range(len(assembly.instances))]
    return failures, assembly.degraded, assembly.defaulted, assembly.absent, stories


def _bits(vectors: Vectors) -> object:
    """NaN and -0.0 are told apart, too."""
    return np.ascontiguousarray(vectors.numeric).tobytes(), vectors.categorical.tolist()


_FOUND = (
    st.tuples(*(st.lists(rows, min_size=len(KEYS), max_size=len(KEYS)) for rows in _rows)),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=12),
    st.lists(_later(), max_size=5),
)


@given(*_FOUND, st.sampled_from([None, 20.0]), st.sampled_from([SPEC, STRICT]))
def test_what_was_found_together_is_used_like_the_same_rows_one_by_one(
    rows: Sequence[Sequence[FeatureRow | None]],
    keys: list[str],
    later: list[Later],
    max_age_s: float | None,
    spec: Spec,
) -> None:
    memory, judge, assembler = Memory(rows), Judge(spec), Assembler(spec, CATEGORICAL)
    bounds, size = Bounds(max_age_s=max_age_s), len(keys)
    alone = judge.judge(_instances(size), memory.one_by_one(keys), bounds, WALL, NOW)
    wanted = assembler.vectors([Piece(alone, 0, size)])
    found = memory.found(keys)
    assert [len(one) for one in found] == [size, size]
    memory.go_on(later, 0)
    together = judge.judge(_instances(size), found, bounds, WALL, NOW)
    memory.go_on(later, 1)
    vectors = assembler.vectors([Piece(together, 0, size)])
    memory.go_on(later, 2)
    assert _bits(vectors) == _bits(wanted)
    assert _told(together) == _told(alone)


@given(*_FOUND)
def test_rows_that_instances_share_are_used_like_the_same_rows_one_by_one(
    rows: Sequence[Sequence[FeatureRow | None]], keys: list[str], later: list[Later]
) -> None:
    memory, judge, assembler = Memory(rows), SharedJudge(SPEC), Assembler(SPEC, CATEGORICAL)
    which = np.arange(2 * len(keys), dtype=np.intp) % len(keys)
    alone, together = [
        judge.judge(_instances(len(which)), one, [which, which], Bounds(), wall=WALL, now=NOW)
        for one in (memory.one_by_one(keys), memory.found(keys))
    ]
    wanted = assembler.shared_vectors(alone)
    memory.go_on(later, 0)
    assert _bits(assembler.shared_vectors(together)) == _bits(wanted)
    memory.go_on(later, 1)
    assert _told(together) == _told(alone)


@given(*_FOUND, st.integers(0, 12), st.integers(0, 12))
def test_pieces_of_what_was_found_together_stand_beside_others(
    rows: Sequence[Sequence[FeatureRow | None]], keys: list[str], later: list[Later], one: int, other: int
) -> None:
    memory, judge, assembler, size = Memory(rows), Judge(SPEC), Assembler(SPEC, CATEGORICAL), len(keys)
    start, stop = sorted((min(one, size), min(other, size)))
    pieces = []
    for retrieved in (memory.one_by_one(keys), memory.found(keys)):
        assembly = judge.judge(_instances(size), retrieved, Bounds(), WALL, NOW)
        pieces.append([Piece(assembly, 0, size), Piece(assembly, start, stop), Piece(assembly, 0, 1)])
    memory.go_on(later, 0)
    alone, together = pieces
    assert _bits(assembler.vectors([*together, *alone])) == _bits(assembler.vectors([*alone, *alone]))


@given(st.lists(st.sampled_from(KEYS), min_size=1, max_size=12), st.lists(_later(), max_size=3))
def test_they_are_a_sequence_like_any_other(keys: list[str], later: list[Later]) -> None:
    memory = Memory([[ACCOUNT.pack({"balance": at}, None) if at % 3 else None for at in range(8)], [None] * 8])
    wanted = [memory.caches[0].get(key) for key in keys]
    found = memory.found(keys)[0]
    for step in range(2):
        assert all(map(is_, found, wanted))
        assert all(map(is_, [found[at] for at in range(-len(keys), len(keys))], wanted * 2))
        assert all(map(is_, found[1:3], wanted[1:3]))
        assert (len(found), len(found[1:3])) == (len(wanted), len(wanted[1:3]))
        with pytest.raises(IndexError):
            found[len(keys)]
        memory.go_on(later, step)


def test_how_many_different_rows_they_are_is_counted_without_the_absent_ones() -> None:
    memory = Memory([[ACCOUNT.pack({}, None) if at % 2 else None for at in range(8)], [None] * 8])
    account, risk = memory.found(["B", "A", "B", "D", "C", "B"])
    assert isinstance(account, FoundRows)
    assert (account.distinct, sorted(account.absent)) == (2, [1, 4])
    assert repr(account) == "<FoundRows 6 rows, 2 absent>"
    assert [one.row for one in risk] == [None] * 6


def test_a_row_that_is_put_while_another_thread_takes_the_columns_does_not_come_into_them() -> None:
    """What it takes may be torn; so it asks afterwards whether anything has changed."""
    row = ACCOUNT.pack({"balance": 1.0}, None)
    rows: list[Retrieved | None] = [Retrieved(row)]

    def torn(_: object) -> Block:
        found.keep()
        rows[0] = None
        return Block(np.full((1, 2), 7.0), np.full((1, 2), None))

    found = FoundRows(
        np.zeros(1, dtype=np.intp), rows, {}, torn, nulls=np.zeros(1, dtype=np.uint16), sets=[0, 0], distinct=1
    )
    assert found.block() is None
    assert [one.row for one in found] == [row]


def test_numbers_that_move_while_another_thread_reads_them_are_the_rows_own() -> None:
    class Moving:
        def packed(self, _: int, /) -> bytes:
            row.packed = b"its own."
            return b"another's"

    row = FeatureRow(Moving(), (), 0, None)
    assert row.numbers == b"its own."


def test_numbers_are_taken_together_only_while_all_of_them_are_side_by_side() -> None:
    memory = Memory([[ACCOUNT.pack({"balance": at, "visits": -at}, None) for at in range(8)], [None] * 8])
    kept = [row for key in "CAC" if (one := memory.caches[0].get(key)) and (row := one.row)]
    taken = side_by_side(kept)
    assert taken is not None
    assert taken.tolist() == [[2.0, -2.0], [0.0, 0.0], [2.0, -2.0]]
    memory.caches[0].put("A", None, NOW + 1)
    assert side_by_side(kept) is None
    assert [row.numbers for row in kept] == [one.tobytes() for one in taken]
    assert side_by_side([kept[1], kept[0]]) is None


@pytest.mark.parametrize("n_columns", [13, 70])
def test_rows_with_more_sets_of_nulls_than_are_numbered_are_asked_themselves(n_columns: int) -> None:
    names = [f"f{at}" for at in range(n_columns)]
    spec = single_view_spec(
        name="x", view="v", source=None, keys=("id",), features=[(name, DType.FLOAT) for name in names]
    )
    layout = spec.views[0].layout
    rows = [
        layout.pack(dict.fromkeys(names, 1.0) | dict(zip(names[-13:], bits, strict=True)), None)
        for bits in product((1.0, None), repeat=13)
    ]
    places = SecondChance(len(rows))
    cache = ViewCache(spec.views[0], places)
    keys = [f"C{at}" for at in range(len(rows))]
    kept = [cache.put(key, row, NOW) for key, row in zip(keys, rows, strict=True)]
    found = cache.fresh_together(keys, places.find_all(keys), NOW)
    assert found is not None
    assert 0 < len(found.unlike) < len(rows)
    instances = Instances.of([Instance((key,)) for key in keys])
    together, alone = [Judge(spec).judge(instances, [one], Bounds(), WALL, NOW) for one in (found, kept)]
    assert (together.absent, together.failures) == (alone.absent, alone.failures)
    assert together.absent == {("v", "NULL"): sum(row.nulls.bit_count() for row in rows)}
    assert found.odd == [at for at, row in enumerate(rows) if row.nulls]


def test_a_view_of_texts_only_and_one_of_numbers_only_have_columns() -> None:
    for dtype, value in ((DType.STRING, "Oslo"), (DType.FLOAT, 2.5)):
        layout = RowLayout((Column("it", dtype),))
        cache = ViewCache(FeatureView("v", ENTITY, layout), places := SecondChance(4))
        for key in KEYS:
            cache.put(key, layout.pack({"it": value}, None), NOW)
        found = cache.fresh_together(["H", "G"], places.find_all(["H", "G"]), NOW)
        assert found is not None
        block = found.block()
        assert block is not None
        assert [block.texts.tolist(), block.numbers.tolist()] in ([[["Oslo"]] * 2, [[], []]], [[[], []], [[2.5]] * 2])
