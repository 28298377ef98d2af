"""Scoring by Beam's RunInference, with the scorer that the service has."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from model.beam.contract import BundleContract
from model.beam.enrichment import Vector
from model.errors import ScoreNotFinite, ScoresNotFinite, ScoringFailed
from model.scorer import CatBoostScorer

Inference = list[float] | ScoringFailed | ScoreNotFinite
"""The model's outputs for one vector, in the order of its classes; or why there are none."""

_AT_ONCE: Final = 1_000
"""Vectors scored in one call; CatBoost gains nothing from more, and no row waits for long."""


class LoadedModel:
    """A model as Beam shares it among a worker's threads: that is by weak reference, which the scorer does not take.

    Attributes:
        scorer: The model.
    """

    def __init__(self, scorer: CatBoostScorer) -> None:
        """Holds a scorer."""
        self.scorer = scorer


class CatBoostModelHandler(ModelHandler[Vector, PredictionResult, LoadedModel]):
    """Loads a bundle's model once per worker process and scores `Vector`s with it.

    The inference of a vector is an `Inference`: the list of the model's outputs, or an error in its place.
    """

    def __init__(self, contract: BundleContract) -> None:
        """Loads nothing yet."""
        super().__init__(max_batch_size=_AT_ONCE)
        self._contract = contract

    def load_model(self) -> LoadedModel:
        """See `ModelHandler.load_model`.

        Raises:
            ModelError: The model cannot be read, or is not the one that the pipeline was made for.
        """
        return LoadedModel(self._contract.scorer())

    def run_inference(
        self,
        batch: Sequence[Vector],
        model: LoadedModel,
        inference_args: dict[str, Any] | None = None,  # noqa: ARG002  # there are none
    ) -> Iterable[PredictionResult]:
        """See `ModelHandler.run_inference`."""
        try:
            found = _scores(batch, model.scorer)
        except ScoringFailed:  # because of one of them; the others have scores
            found = [_score_alone(one, model.scorer) for one in batch]
        return [PredictionResult(one, told, self._contract.digest) for one, told in zip(batch, found, strict=True)]

    def get_num_bytes(self, batch: Sequence[Vector]) -> int:
        """See `ModelHandler.get_num_bytes`; what it is shipped with pickles the batch to find out."""
        return sum(len(one.numbers) for one in batch)

    def get_metrics_namespace(self) -> str:
        """See `ModelHandler.get_metrics_namespace`."""
        return "keyscore_catboost"


def _scores(batch: Sequence[Vector], scorer: CatBoostScorer) -> list[Inference]:
    packed = np.frombuffer(b"".join([one.numbers for one in batch]), dtype=np.float32)
    numbers = packed.reshape(len(batch), len(scorer.signature.numeric))
    categories = np.empty((len(batch), len(scorer.signature.categorical)), dtype=object)
    categories[:] = [one.categories for one in batch]
    try:
        found: list[Inference] = scorer.score(numbers, categories).tolist()
    except ScoresNotFinite as error:
        rows = zip(error.scores.tolist(), error.lost, strict=True)
        return [ScoreNotFinite() if lost else row for row, lost in rows]
    return found


def _score_alone(one: Vector, scorer: CatBoostScorer) -> Inference:
    try:
        return _scores([one], scorer)[0]
    except ScoringFailed as error:
        return error
