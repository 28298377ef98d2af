"""What a model says about itself: the columns it wants and the meaning of the numbers it gives.

Pure: it knows how CatBoost's losses behave but does not import CatBoost. `scorer` reads the facts out of the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

DEFAULT_THRESHOLD: Final = 0.5
"""Probability of the second class above which a binary model says yes; CatBoost's own default."""


class Task(StrEnum):
    """What kind of question the model answers."""

    CLASSIFICATION = "classification"
    """Exactly one class is true; scores are probabilities in the order of `Signature.classes`."""

    MULTILABEL = "multilabel"
    """Any number of labels is true; scores are one independent probability for each."""

    REGRESSION = "regression"
    """Scores are numbers on the target's scale. Rankers are served so too: only their order has a meaning."""


class PredictionType(StrEnum):
    """What CatBoost is asked to return, in its own spelling."""

    PROBABILITY = "Probability"
    RAW = "RawFormulaVal"
    EXPONENT = "Exponent"
    UNCERTAINTY = "RMSEWithUncertainty"


# Losses by CatBoost's names, without their parameters. Source: catboost.ai/docs, "Objectives and metrics".
_MULTILABEL: Final = frozenset({"MultiLogloss", "MultiCrossEntropy"})
_CLASSIFICATION: Final = frozenset({"Logloss", "CrossEntropy", "Focal", "MultiClass", "MultiClassOneVsAll"})
# What `CatBoostRegressor.predict` returns where it is not the raw value; checked against it in the tests.
_REGRESSION: Final = {
    "Poisson": PredictionType.EXPONENT,
    "Tweedie": PredictionType.EXPONENT,
    "RMSEWithUncertainty": PredictionType.UNCERTAINTY,
}


@dataclass(frozen=True, slots=True)
class Signature:
    """The columns and outputs of one model.

    Attributes:
        features: Names in the model's order, all different.
        categorical: Positions in `features` whose values are strings, ascending.
        numeric: The other positions, ascending.
        task: What kind of question the model answers.
        classes: Labels as strings in the order of the outputs; None for regression.
        n_outputs: Scores per row.
        prediction_type: What CatBoost is asked for.
        threshold: A binary model says `classes[1]` when its probability is above this; None for every other model.
    """

    features: tuple[str, ...]
    categorical: tuple[int, ...]
    numeric: tuple[int, ...]
    task: Task
    classes: tuple[str, ...] | None
    n_outputs: int
    prediction_type: PredictionType
    threshold: float | None

    def predicted_class(self, scores: Sequence[float]) -> int | None:
        """Position in `classes` of the answer that `scores` amount to; None where there is no single one.

        Agrees with CatBoost's own "Class" prediction. CatBoost compares raw values with the threshold's logit, this
        compares probabilities: a raw value within one rounding error of the threshold may differ.

        Args:
            scores: One row of `CatBoostScorer.score`, `n_outputs` long.
        """
        if self.task is not Task.CLASSIFICATION:
            return None
        if self.threshold is not None:
            return int(scores[1] > self.threshold)
        return max(range(len(scores)), key=scores.__getitem__)  # the first of equals, as CatBoost does

    @property
    def single_class(self) -> bool:
        """Whether there is one answer among `classes`, and so something for `predicted_class` to say."""
        return self.task is Task.CLASSIFICATION

    def predicted_classes(self, scores: NDArray[np.float64]) -> NDArray[np.intp]:
        """`predicted_class` of every row, where `single_class` is true; of no meaning in rows of NaN.

        Args:
            scores: `(n_rows, n_outputs)`, as `CatBoostScorer.score` gives them.
        """
        if self.threshold is not None:
            return (scores[:, 1] > self.threshold).astype(np.intp)
        likeliest: NDArray[np.intp] = np.argmax(scores, axis=1)
        return likeliest


def task_of(loss: str | None, *, has_classes: bool) -> Task:
    """The task of a model that was trained with `loss`.

    Args:
        loss: CatBoost's name of the loss without parameters; None if the model does not know it.
        has_classes: Whether the model carries class labels. It decides where the loss does not: for losses of the
            user's own and for sums of models.
    """
    if loss in _MULTILABEL:
        return Task.MULTILABEL
    return Task.CLASSIFICATION if loss in _CLASSIFICATION or has_classes else Task.REGRESSION


def prediction_type_of(task: Task, loss: str | None) -> PredictionType:
    """What to ask CatBoost for, so that scores are probabilities or numbers on the target's scale."""
    if task is not Task.REGRESSION:
        return PredictionType.PROBABILITY
    return _REGRESSION.get(loss or "", PredictionType.RAW)
