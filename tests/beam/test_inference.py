"""The model handler scores as the service's scorer does, and one bad row hurts no other."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import PredictionResult
from numpy.typing import NDArray

from model.beam.contract import BundleContract
from model.beam.enrichment import Vector
from model.beam.inference import CatBoostModelHandler, LoadedModel
from model.beam.prediction import Tell
from model.errors import ArtifactError, ScoreNotFinite, ScoringFailed
from model.scorer import CatBoostScorer


def vector(*numbers: float, categories: tuple[str, ...] = ("a",)) -> Vector:
    return Vector(np.array(numbers, dtype=np.float32).tobytes(), categories)


@pytest.fixture
def contract(shop: Callable[..., Path]) -> BundleContract:
    return BundleContract.of(str(shop()))


BATCH = [vector(at, 1, 2, at * 9, 4) for at in range(40)]


def test_a_batch_scores_as_its_rows_do_alone(contract: BundleContract) -> None:
    handler = CatBoostModelHandler(contract)
    model = handler.load_model()
    found = [one.inference for one in handler.run_inference(BATCH, model)]
    numbers = np.array([[at, 1, 2, at * 9, 4] for at in range(40)], dtype=np.float32)
    assert found == [model.scorer.score(row[None], [["a"]]).tolist()[0] for row in numbers]
    assert len({tuple(one) for one in found}) > 1
    assert {one.model_id for one in handler.run_inference(BATCH, model)} == {contract.digest}
    assert handler.get_num_bytes(BATCH) == 40 * 5 * 4


class Brittle(CatBoostScorer):
    """Refuses any matrix with a 7 in it."""

    def score(
        self, numeric: NDArray[np.float32], categorical: object = None, *, threads: int = 1
    ) -> NDArray[np.float64]:
        if (numeric[:, 0] == 7).any():
            raise ScoringFailed("CatBoost refused the matrix")
        return super().score(numeric, categorical, threads=threads)  # type: ignore[arg-type, unused-ignore]


def test_a_row_that_is_refused_says_so_itself_and_leaves_its_neighbours_theirs(contract: BundleContract) -> None:
    handler = CatBoostModelHandler(contract)
    sound = handler.load_model().scorer
    brittle = LoadedModel(Brittle(sound._model, sound.signature))
    found = [one.inference for one in handler.run_inference(BATCH, brittle)]
    expected = [one.inference for one in handler.run_inference(BATCH, LoadedModel(sound))]
    assert isinstance(found[7], ScoringFailed)
    assert str(found[7]) == "CatBoost refused the matrix"
    assert [*found[:7], *found[8:]] == [*expected[:7], *expected[8:]]


class Counting(CatBoostScorer):
    """Counts calls."""

    calls = 0

    def score(
        self, numeric: NDArray[np.float32], categorical: object = None, *, threads: int = 1
    ) -> NDArray[np.float64]:
        Counting.calls += 1
        return super().score(numeric, categorical, threads=threads)  # type: ignore[arg-type, unused-ignore]


def test_a_row_without_a_finite_score_has_none_and_no_other_is_scored_again(
    shop: Callable[..., Path], overflowing: Callable[..., bytes]
) -> None:
    handler = CatBoostModelHandler(BundleContract.of(str(shop(overflowing))))
    sound = handler.load_model().scorer
    batch = [vector(95 if at == 7 else at, 1, 2, at * 2, 4) for at in range(40)]
    counting = LoadedModel(Counting(sound._model, sound.signature))
    found = [one.inference for one in handler.run_inference(batch, counting)]
    assert Counting.calls == 1
    others = handler.run_inference([*batch[:7], *batch[8:]], LoadedModel(sound))
    assert [*found[:7], *found[8:]] == [one.inference for one in others]
    assert isinstance(found[7], ScoreNotFinite)
    assert str(pickle.loads(pickle.dumps(found[7]))) == str(found[7])  # noqa: S301  # as Beam may do between workers


def test_a_worker_that_finds_another_model_refuses_it(contract: BundleContract, train: Callable[..., bytes]) -> None:
    (Path(contract.uri) / "model.cbm").write_bytes(train(("other", "names")))
    with pytest.raises(ArtifactError, match="is not the file that the bundle names"):
        CatBoostModelHandler(contract).load_model()


class Telling(beam.PTransform):
    """The end of `Predict`, behind the model."""

    def expand(self, results: Any) -> Any:
        told = results | beam.ParDo(Tell()).with_outputs("failed", main="predictions")
        return {"predictions": told["predictions"], "failures": told["failed"]}


def test_an_instance_without_a_finite_score_is_told_and_counted_as_failed(predicted: Callable[..., Any]) -> None:
    ran = predicted(
        [("C1", PredictionResult(None, [0.5])), ("C2", PredictionResult(None, ScoreNotFinite()))], Telling()
    )
    assert ran.predictions == [{"instance": "C1", "prediction": [0.5]}]
    assert [one["instance"] for one in ran.failures] == ["C2"]
    assert ran.counts["failed"] == 1
