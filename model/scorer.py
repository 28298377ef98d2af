"""The one door to CatBoost: bytes in, scores out, nothing on disk and nothing on stdout.

Importing catboost takes 0.16 s, so nothing else imports it, and whoever needs a score imports this module only when a
model is about to be loaded.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from model.container import check_container
from model.errors import ModelInvalid, ScoresNotFinite, ScoringFailed
from model.imports import without_pandas
from model.signature import DEFAULT_THRESHOLD, Signature, Task, prediction_type_of, task_of

# A service never has data frames; pandas, and pyarrow which comes with it, take 0.2 s and 63 MB. Training imports
# pandas first, and so keeps it.
with without_pandas():
    import catboost

Categories = NDArray[np.object_] | Sequence[Sequence[str | bytes]]
"""Values of the categorical features, `(n_rows, n_categorical)`; bytes are UTF-8. An object array is not copied."""

# Two threads gain nothing up to 100 rows and 1.5x at 1,000 (two idle cores), and they take the core that the event
# loop or the next worker needs. CatBoost's own default, all cores, made the p99 of 100 rows 4.0 ms instead of 0.42 ms.
_THREADS: Final = 1

# What the binding is known to raise for data it does not like: a str with a lone surrogate ends in a SystemError.
_REFUSALS: Final = (catboost.CatBoostError, TypeError, ValueError, SystemError)


class CatBoostScorer:
    """A loaded model. A call changes nothing in it, so any thread may score.

    Attributes:
        signature: The model's columns and outputs.
    """

    __slots__ = ("_categorical_names", "_model", "_numeric_names", "signature")

    def __init__(self, model: catboost.CatBoost, signature: Signature) -> None:
        """Takes a model whose features are named by position; `from_bytes` makes it."""
        self._model = model
        self.signature = signature
        self._numeric_names = [str(position) for position in signature.numeric]
        self._categorical_names = [str(position) for position in signature.categorical]

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """A scorer of the model in `data`, which has scored one row to prove itself.

        A byte changed inside a file can crash CatBoost: compare the digest before calling this.

        Args:
            data: A file in CatBoost's own format, as `save_model("model.cbm")` writes it.

        Raises:
            ModelInvalid: It is not such a file, it is cut short, or it is a model that cannot be served.
        """
        check_container(data)
        try:
            model = catboost.CatBoost().load_model(blob=data)
            signature = _read_signature(model)
            _name_by_position(model, len(signature.features))
            scorer = cls(model, signature)
            scorer._prove()  # here, because a model that loads may still not be one that scores
        except (*_REFUSALS, AttributeError, KeyError, ScoringFailed) as error:
            raise ModelInvalid(f"CatBoost cannot use the model file ({_first_line(error)}): save it again") from error
        return scorer

    def score(
        self, numeric: NDArray[np.float32], categorical: Categories | None = None, *, threads: int = _THREADS
    ) -> NDArray[np.float64]:
        """Scores of all rows; a row scores the same, bit for bit, alone and among others.

        `numeric` is left as it is; given in column-major order (`order="F"`) it is not copied either.

        Args:
            numeric: float32, `(n_rows, n_numeric)`, columns in the order of `signature.numeric`; NaN means missing.
            categorical: `(n_rows, n_categorical)`, columns in the order of `signature.categorical`; may be left out
                when the model has none. CatBoost itself refuses values that are neither str nor bytes.
            threads: How many threads share the rows; the scores are the same. For files, with a machine to themselves.

        Returns:
            `(n_rows, n_outputs)`, in the order of `signature.classes` if there are classes.

        Raises:
            ScoringFailed: Wrong shape or dtype, or a value CatBoost refuses.
            ScoresNotFinite: Some rows have a score that is not a finite number; carries those of the others.
        """
        cells = self._check(numeric, categorical)
        n_rows = len(numeric)
        if n_rows == 0:  # CatBoost would answer, and print a line on stdout
            return np.empty((0, self.signature.n_outputs))
        try:
            answer = self._model.predict(
                self._as_input(numeric, cells, threads),
                prediction_type=self.signature.prediction_type.value,
                thread_count=threads,
            )
            scores = np.asarray(answer, dtype=np.float64).reshape(n_rows, self.signature.n_outputs)
        except _REFUSALS as error:
            raise ScoringFailed("CatBoost refused the matrix") from error
        finite = np.isfinite(scores)
        if not finite.all():
            raise ScoresNotFinite(np.where(finite.all(axis=1, keepdims=True), scores, np.nan))
        return scores

    def _check(self, numeric: NDArray[np.float32], categorical: Categories | None) -> NDArray[np.object_]:
        """The categories as an object array; CatBoost would ignore columns too many and read what float64 holds."""
        if not isinstance(numeric, np.ndarray) or numeric.dtype != np.float32 or numeric.ndim != 2:  # noqa: PLR2004  # rows and columns
            raise ScoringFailed("numeric features must be a float32 array of rows and columns")
        if numeric.shape[1] != len(self.signature.numeric):
            raise ScoringFailed(f"{numeric.shape[1]} numeric columns, the model has {len(self.signature.numeric)}")
        expected = (len(numeric), len(self.signature.categorical))
        if categorical is None:
            categorical = np.empty((len(numeric), 0), dtype=object)
        try:
            cells = np.asarray(categorical, dtype=object)
        except ValueError as error:  # a sequence of arrays of different widths
            raise ScoringFailed("categorical features must be an array of rows and columns") from error
        if cells.shape != expected and (len(cells), expected[0]) != (0, 0):  # no rows have no width
            raise ScoringFailed(f"categorical features have the shape {cells.shape}, expected {expected}")
        return cells

    def _as_input(self, numeric: NDArray[np.float32], cells: NDArray[np.object_], threads: int) -> Any:
        """What to hand to CatBoost; the forms score alike and differ in time only.

        Measured in µs for 1 row / 64 / 1,000, the conversion to Fortran order (11 at 1,000) not counted:
        30 numbers, 500 trees: C order 65 / 95 / 665, Fortran order 60 / 86 / 440, one row as a vector 54;
        20 numbers and 3 categories, 300 trees: FeaturesData 57 / 102 / 637, with numbers in Fortran order
        57 / 94 / 587, a list of lists 63 / 733 / 10,500.
        """
        if not self._categorical_names and len(numeric) == 1:
            return numeric[0]  # the more columns, the more it saves: 31 % at 100, 45 % at 300
        # The view is for the caller's sake: CatBoost makes the very array it is given read-only, for good.
        columns = np.asfortranarray(numeric)[:]
        if not self._categorical_names:
            return columns
        if not self._numeric_names:
            features = catboost.FeaturesData(cat_feature_data=cells, cat_feature_names=self._categorical_names)
        else:
            features = catboost.FeaturesData(columns, cells, self._numeric_names, self._categorical_names)
        return catboost.Pool(features, thread_count=threads)

    def _prove(self) -> None:
        self.score(
            np.zeros((1, len(self.signature.numeric)), dtype=np.float32),
            np.full((1, len(self.signature.categorical)), "", dtype=object),
        )


def _read_signature(model: catboost.CatBoost) -> Signature:
    features = tuple(model.feature_names_)
    if len(set(features)) != len(features):
        raise ModelInvalid("two features of the model have the same name: give every feature a name of its own")
    categorical = tuple(int(position) for position in model.get_cat_feature_indices())
    metadata = model.get_metadata()
    loss, labels = _loss(metadata), [str(label) for label in model.classes_]
    task = task_of(loss, has_classes=bool(labels))
    _, bias = model.get_scale_and_bias()
    n_values = int(np.size(bias))  # raw values per row; a binary model has one and gives two probabilities
    binary = task is Task.CLASSIFICATION and n_values == 1
    n_outputs = 2 if binary else n_values
    if task is not Task.REGRESSION and len(labels) != n_outputs:
        raise ModelInvalid(f"the model carries {len(labels)} class labels for {n_outputs} scores: train it again")
    threshold = float(metadata.get("binclass_probability_threshold", DEFAULT_THRESHOLD))
    return Signature(
        features=features,
        categorical=categorical,
        numeric=tuple(position for position in range(len(features)) if position not in categorical),
        task=task,
        classes=None if task is Task.REGRESSION else tuple(labels),
        n_outputs=n_outputs,
        prediction_type=prediction_type_of(task, loss),
        threshold=threshold if binary else None,
    )


def _name_by_position(model: catboost.CatBoost, n_features: int) -> None:
    """Gives every feature its position as its name, so that a mixed matrix finds its columns.

    CatBoost looks for the columns by name, but only in a model that has names. One that was trained without them goes
    by position, and scores wrongly without a word where the types happen to fit.
    """
    try:
        model.set_feature_names([str(position) for position in range(n_features)])
    except catboost.CatBoostError as error:
        raise ModelInvalid(
            "unused features were dropped from the model, so its columns have gaps: "
            "save it without calling drop_unused_features()"
        ) from error


def _loss(metadata: Mapping[str, str]) -> str | None:
    """CatBoost's name of the loss: among the training parameters, or, in a sum of models, on its own."""
    params = json.loads(metadata.get("params", "{}"))
    loss = params.get("loss_function") or json.loads(metadata.get("loss_function", "{}"))
    return str(loss["type"]) if "type" in loss else None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
