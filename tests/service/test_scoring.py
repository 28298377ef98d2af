"""Rows of many requests in one matrix and one call: every request gets the scores that it would have got alone."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from catboost import CatBoostClassifier

from features.assembly import Assembler, Piece, as_float32
from features.events import Event
from features.freshness import Bounds
from features.judging import Judge
from features.planning import Instance, Instances
from features.spec import Spec, single_view_spec
from features.values import DType, Retrieved, Value
from model.batching import Batcher
from model.scorer import CatBoostScorer
from service.bundle import Bundle, load_bundle
from service.events import RowsScored
from service.prediction import each_of
from service.scoring import Scoring
from service.telemetry.tally import Tally
from service.wiring import assembler_of

WALL = 1_700_000_000.0


class Notes:
    """An observer that writes everything down."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def observe(self, event: Event, /) -> None:
        self.events.append(event)


def requests(spec: Spec, rows: int, seed: int) -> Iterator[Piece]:
    """Requests of 1 to 300 instances, most of them of one, until there are so many instances in all."""
    judge, random = Judge(spec), Random(seed)  # noqa: S311  # to be repeated, not to be unguessable

    def value(dtype: DType) -> Value:
        drawn = {DType.STRING: random.choice("abcd"), DType.INT: random.randrange(100), DType.BOOL: bool(rows % 2)}
        return None if random.random() < 0.02 else drawn.get(dtype, random.uniform(-10, 120))

    while rows > 0:
        size = min(rows, random.choice((1, 1, 1, 1, 2, 7, 40, 300)))
        rows -= size
        fields = [tuple(50.0 if one.dtype.numeric else "b" for one in spec.fields)] * size
        instances = Instances.of([Instance(("k",) * len(spec.keys), sent) for sent in fields])
        retrieved = [
            [
                Retrieved(view.layout.pack({one.name: value(one.dtype) for one in view.layout.columns}, WALL))
                for _ in range(size)
            ]
            for view in spec.views
        ]
        yield Piece(judge.judge(instances, retrieved, Bounds(), WALL), 0, size)


def in_batches(pieces: Sequence[Piece], seed: int) -> Iterator[Sequence[Piece]]:
    """The same requests, 1 to 60 of them at a time."""
    random, start = Random(seed), 0  # noqa: S311  # same
    while start < len(pieces):
        stop = start + random.choice((1, 2, 16, 60))
        yield pieces[start:stop]
        start = stop


def alone(assembler: Assembler, scorer: CatBoostScorer, pieces: Sequence[Piece]) -> list[list[float]]:
    """The scores of every instance, each in a call of its own."""
    vectors = [assembler.vectors([Piece(one.assembly, at, at + 1)]) for one in pieces for at in range(one.stop)]
    return [scorer.score(as_float32(one.numeric), one.categorical)[0].tolist() for one in vectors]


@pytest.fixture(scope="module")
def plain_model(train: Callable[..., bytes]) -> CatBoostScorer:
    return CatBoostScorer.from_bytes(train([f"f{at}" for at in range(30)]))


def test_a_hundred_thousand_rows_score_alike_alone_and_in_batches_of_any_size(plain_model: CatBoostScorer) -> None:
    """Bit by bit: what CatBoost adds up for a row does not depend on the rows beside it."""
    features = [(name, DType.FLOAT) for name in plain_model.signature.features]
    spec = single_view_spec(name="plain", view="plain", source=None, keys=("id",), features=features)
    assembler = Assembler(spec, ())
    pieces = list(requests(spec, 100_000, seed=1))
    scoring = Scoring(assembler, plain_model, Notes())
    found = [row for batch in in_batches(pieces, 2) for rows in scoring(batch) for row in each_of(rows)]
    assert len(found) == 100_000
    assert found == alone(assembler, plain_model, pieces)


def test_rows_with_categories_and_derived_features_score_alike_alone_and_in_batches(small_demo: Any) -> None:
    bundle = load_bundle(str(small_demo.bundle))
    assembler = assembler_of(bundle)
    pieces = [one for one in requests(bundle.spec, 10_000, seed=3) if not one.assembly.failures]
    scoring = Scoring(assembler, bundle.scorer, Notes())
    found = [row for batch in in_batches(pieces, 4) for rows in scoring(batch) for row in each_of(rows)]
    assert len(found) > 5_000
    assert found == alone(assembler, bundle.scorer, pieces)


@pytest.fixture
def shop_bundle(shop: Callable[..., Path]) -> Bundle:
    return load_bundle(str(shop()))


def judged(bundle: Bundle, *balances: float | None) -> Piece:
    """One request about customers with these balances; the one without a row cannot be scored."""
    rows: list[dict[str, Value] | None] = [None if one is None else {"balance": one, "city": "a"} for one in balances]
    account, activity, risk = (view.layout for view in bundle.spec.views)
    retrieved = [
        [Retrieved(None if row is None else account.pack(row, WALL)) for row in rows],
        [Retrieved(activity.pack({"visits": 7}, WALL))] * len(rows),
        [Retrieved(risk.pack({"rate": 3.0}, WALL))] * len(rows),
    ]
    instances = Instances.of([Instance(("C", "M"), (12.5,))] * len(rows))
    return Piece(Judge(bundle.spec).judge(instances, retrieved, Bounds(), WALL), 0, len(rows))


def test_an_instance_that_failed_is_not_scored_and_leaves_its_neighbours_alone(shop_bundle: Bundle) -> None:
    notes = Notes()
    scoring = Scoring(assembler_of(shop_bundle), shop_bundle.scorer, notes)
    mixed, whole = judged(shop_bundle, None, 80.0, None), judged(shop_bundle, 20.0)
    (first, scored, third), (neighbour,) = scoring([mixed, whole])
    assert (first, third) == (None, None)
    assert [[scored], [neighbour]] == [scoring([judged(shop_bundle, one)])[0] for one in (80.0, 20.0)]
    calls = [event for event in notes.events if isinstance(event, RowsScored)]
    assert [call.rows for call in calls] == [2, 1, 1]
    assert calls[0].scores is not None
    np.testing.assert_array_equal(calls[0].scores, [(scored or [])[-1], (neighbour or [])[-1]])


def test_a_large_piece_gets_an_array_and_small_ones_beside_it_get_lists(shop_bundle: Bundle) -> None:
    scoring = Scoring(assembler_of(shop_bundle), shop_bundle.scorer, Notes())
    small, large = judged(shop_bundle, 20.0, 80.0), judged(shop_bundle, *map(float, range(40)))
    found = scoring([small, large, small])
    assert [type(one) for one in found] == [list, np.ndarray, list]
    assert [*map(each_of, found)] == [each_of(scoring([piece])[0]) for piece in (small, large, small)]


@pytest.fixture
def overflowing_bundle(shop: Callable[..., Path], overflowing: Callable[..., bytes]) -> Bundle:
    return load_bundle(str(shop(overflowing)))


def test_a_row_without_a_finite_score_has_none_and_leaves_its_neighbours_alone(overflowing_bundle: Bundle) -> None:
    scoring = Scoring(assembler_of(overflowing_bundle), overflowing_bundle.scorer, Notes())
    alone = [scoring([judged(overflowing_bundle, balance)])[0][0] for balance in (80.0, 20.0)]
    assert None not in alone
    found = scoring([judged(overflowing_bundle, None, 80.0, 95.0), judged(overflowing_bundle, 20.0)])
    assert found == [[None, alone[0], None], [alone[1]]]
    assert scoring([judged(overflowing_bundle, 95.0)]) == [[None]]


@pytest.mark.anyio
async def test_a_row_without_a_finite_score_costs_nobody_a_second_call(overflowing_bundle: Bundle) -> None:
    scoring = Scoring(assembler_of(overflowing_bundle), overflowing_bundle.scorer, notes := Notes())
    calls = []

    def together(pieces: Sequence[Piece]) -> Any:
        calls.append(len(pieces))
        return scoring(pieces)

    batcher: Batcher[Piece, Any] = Batcher(together)
    bad, good = judged(overflowing_bundle, 95.0), judged(overflowing_bundle, 20.0)
    (first,), (second,) = await asyncio.gather(batcher.submit(bad), batcher.submit(good))
    assert calls == [2]
    assert [event.rows for event in notes.events if isinstance(event, RowsScored)] == [2]
    assert (first, [[second]]) == (None, scoring([good]))


@pytest.fixture(scope="module")
def half_finite() -> CatBoostScorer:
    """A model of three classes that has no probabilities for about half of its rows: infinite less infinite is none."""
    numbers = np.random.default_rng(5).uniform(0, 100, (300, 3))
    model = CatBoostClassifier(iterations=20, thread_count=1, verbose=False, allow_writing_files=False, random_seed=1)
    model.fit(numbers, np.digitize(numbers[:, 0], [30, 60]))
    highest = model.predict(numbers, prediction_type="RawFormulaVal").max(axis=1)
    model.set_scale_and_bias(1.79e308 / float(np.median(highest)), [0.0, 0.0, 0.0])
    return CatBoostScorer.from_bytes(model._serialize_model())


def test_probabilities_that_are_none_are_not_counted(half_finite: CatBoostScorer) -> None:
    """A sum that NaN was once added to is NaN until the process ends."""
    features = [(name, DType.FLOAT) for name in half_finite.signature.features]
    spec = single_view_spec(name="plain", view="plain", source=None, keys=("id",), features=features)
    pieces, tally = list(requests(spec, 600, seed=6)), Tally()
    rows = [row for answer in Scoring(Assembler(spec, ()), half_finite, tally)(pieces) for row in answer]
    scores = [row[-1] for row in rows if row is not None]
    assert 0 < len(scores) < len(rows) == 600
    assert sum(tally.scores.counts) == len(scores)
    assert tally.scores.total == pytest.approx(sum(scores))


def test_when_nothing_can_be_scored_nothing_is(shop_bundle: Bundle) -> None:
    scoring = Scoring(assembler_of(shop_bundle), shop_bundle.scorer, Notes())
    assert scoring([judged(shop_bundle, None)]) == [[None]]
