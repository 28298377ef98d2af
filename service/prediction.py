"""A request's scores and how they came about: what scoring hands to answering."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.errors import FeatureError, InstanceInvalid
from features.judging import Assembly
from model.errors import ScoreNotFinite
from service.parsing import ParsedRequest

InstanceError = InstanceInvalid | FeatureError | ScoreNotFinite
"""Why one instance cannot be scored."""

Scores = Sequence[float] | None
"""The model's outputs for one instance, in its order; None for one that could not be scored."""


ManyScores = Sequence[Scores] | NDArray[np.float64]
"""The scores of many instances, in order; `(n_instances, n_outputs)` where all of them have some, as nearly always."""


class Prediction(NamedTuple):
    """The outcome of one request.

    Attributes:
        request: What was asked.
        assembly: What the instances that could be understood were scored with.
        scores: Of each of `request.instances`.
        failures: Why an instance was not scored, by its position in the request.
    """

    request: ParsedRequest
    assembly: Assembly
    scores: ManyScores
    failures: dict[int, InstanceError]


def each_of(scores: ManyScores) -> Sequence[Scores]:
    """The scores of each instance as Python's numbers."""
    return scores.tolist() if isinstance(scores, np.ndarray) else scores


def n_without(scores: ManyScores) -> int:
    """How many instances have no scores."""
    return 0 if isinstance(scores, np.ndarray) or all(scores) else scores.count(None)


def joined(parts: Sequence[ManyScores]) -> ManyScores:
    """The scores of all parts, in order."""
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    return np.concatenate(arrays) if len(arrays) == len(parts) else [one for part in parts for one in each_of(part)]
