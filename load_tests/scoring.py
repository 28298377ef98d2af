"""The right score of given features, by CatBoost itself and nothing of the service."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import catboost
import numpy as np
from numpy.typing import NDArray

from load_tests.catalogue import Feature

Tables = tuple[NDArray[np.float32], NDArray[np.object_]]

_MISSING_CATEGORY: Final = "nan"  # what the service shows as null and tells the model; its shipped word for it


class Scores:
    """Scores of one bundle's model."""

    def __init__(self, bundle: Path, features: Sequence[Feature], *, classes: bool) -> None:
        """Loads the model.

        Args:
            bundle: The bundle's folder.
            features: In the model's order.
            classes: Whether the model tells classes.
        """
        self._model = catboost.CatBoost().load_model(str(bundle / "model.cbm"))
        self._names = [feature.name for feature in features]
        categorical = set(self._model.get_cat_feature_indices())
        self._categories = [name for at, name in enumerate(self._names) if at in categorical]
        self._numbers = [name for at, name in enumerate(self._names) if at not in categorical]
        self._type = "Probability" if classes else "RawFormulaVal"

    def of(self, values: Mapping[str, Any]) -> list[float]:
        """The scores of one entity, by feature name to value; None is missing."""
        return self.of_many([values])[0]

    def of_many(self, values: Sequence[Mapping[str, Any]]) -> list[list[float]]:
        """The scores of several entities; at least one."""
        numbers, words = self.tables_of(values)
        if not self._categories:
            return self.of_matrix(numbers)
        data = catboost.FeaturesData(numbers, words, self._numbers, self._categories)
        return self._predict(catboost.Pool(data)).tolist()  # type: ignore[no-any-return]

    def tables_of(self, values: Sequence[Mapping[str, Any]]) -> Tables:
        """The numbers `(n_rows, n_numeric)` and the words `(n_rows, n_categorical)` of several entities."""
        numbers = np.array([[_number(one[name]) for name in self._numbers] for one in values], dtype=np.float32)
        words = np.array([[_word(one[name]) for name in self._categories] for one in values], dtype=object)
        return numbers, words

    def of_matrix(self, numbers: NDArray[np.floating[Any]]) -> list[list[float]]:
        """The scores of many entities of a model without categories, `(n_rows, n_features)` in the model's order."""
        return self._predict(numbers.astype(np.float32)).tolist()  # type: ignore[no-any-return]

    def _predict(self, data: Any) -> NDArray[np.float64]:
        answer = self._model.predict(data, prediction_type=self._type, thread_count=1)
        return np.asarray(answer, dtype=np.float64).reshape(-1, 1 if self._type == "RawFormulaVal" else answer.shape[1])


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _word(value: Any) -> bytes:
    return (_MISSING_CATEGORY if value is None else str(value)).encode()
