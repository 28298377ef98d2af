"""A request's scores and how they came about: what scoring hands to answering."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.assembly import Assembly
from features.errors import FeatureError
from service.errors import InstanceInvalid
from service.parsing import ParsedRequest

InstanceError = InstanceInvalid | FeatureError
"""Why one instance cannot be scored."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The outcome of one request.

    Attributes:
        request: What was asked.
        assembly: The vectors of the instances that could be understood.
        scores: `(n_scored, n_outputs)`, the instances that could be scored, in order.
        scored: Position in `request.instances` of each row of `scores`.
        failures: Why an instance was not scored, by its position in the request.
    """

    request: ParsedRequest
    assembly: Assembly
    scores: NDArray[np.float64]
    scored: list[int]
    failures: dict[int, InstanceError]
