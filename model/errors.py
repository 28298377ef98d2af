"""Everything that can go wrong with a model, placed on the way that data takes.

    directory or bucket ──► artifact ──► ArtifactError    its bytes cannot be had, or are not the ones meant
    bytes ──► container, scorer      ──► ModelInvalid     they are not a model that we can serve
    model and spec ──► bundle        ──► BundleInvalid    each may be fine, but they are not of one mind
    matrix ──► scorer                ──► ScoringFailed    this matrix has no score: our fault, never the caller's

All but the last happen at start only. Their messages are one line for the operator, who may see paths and addresses:
what is wrong, then what to do.
"""


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
