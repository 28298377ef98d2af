"""Everything that can go wrong with a model, placed on the way that data takes.

    directory or bucket ──► artifact ──► ArtifactError    its bytes cannot be had, or are not the ones meant
    bytes ──► container, scorer      ──► ModelInvalid     they are not a model that we can serve
    model and spec ──► bundle        ──► BundleInvalid    each may be fine, but they are not of one mind
    matrix ──► scorer                ──► ScoringFailed    this matrix has no score: our fault, never the caller's
                                     ──► ScoresNotFinite  some of its rows have none; carries those of the others
    row    ──► whoever asked         ──► ScoreNotFinite   this row has none, whatever becomes of the others

The first three happen at start only. Their messages are one line for the operator, who may see paths and addresses:
what is wrong, then what to do.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_NOT_FINITE: Final = "the model gave a score that is not a finite number"


class ModelError(Exception):
    """Root of what this package raises on purpose."""


class ArtifactError(ModelError):
    """A file of the bundle is missing, unreadable, out of reach or not the one that was meant."""


class ModelInvalid(ModelError):
    """The bytes are not a CatBoost model, are cut short, or are a model of a kind that cannot be served."""


class BundleInvalid(ModelError):
    """A bundle lacks something, or what it says about features is not what its model says."""


class ScoringFailed(ModelError):
    """A matrix could not be scored: of the wrong shape or type, or refused by CatBoost."""


class ScoresNotFinite(ScoringFailed):
    """Some rows of a matrix have no score, because the model's is infinite or no number; the others have theirs.

    `exp` overflows above 709, so a model that predicts a logarithm (Poisson, Tweedie) may do this to any row.

    Attributes:
        scores: `(n_rows, n_outputs)`; NaN throughout in rows without a score.
    """

    def __init__(self, scores: NDArray[np.float64]) -> None:
        super().__init__(_NOT_FINITE)
        self.scores = scores

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Which rows have no score, `(n_rows,)`."""
        return np.isnan(self.scores[:, -1])


class ScoreNotFinite(ModelError):
    """The model's score of one instance is infinite or no number; the instances beside it have theirs."""

    def __init__(self, message: str = _NOT_FINITE) -> None:  # what is unpickled is made from its message
        super().__init__(message)
