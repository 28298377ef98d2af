"""A request's scores and how they came about: what scoring hands to answering."""

from collections.abc import Sequence
from typing import NamedTuple

from features.errors import FeatureError, InstanceInvalid
from features.judging import Assembly
from model.errors import ScoreNotFinite
from service.parsing import ParsedRequest

InstanceError = InstanceInvalid | FeatureError | ScoreNotFinite
"""Why one instance cannot be scored."""

Scores = Sequence[float] | None
"""The model's outputs for one instance, in its order; None for one that could not be scored."""


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
    scores: Sequence[Scores]
    failures: dict[int, InstanceError]
