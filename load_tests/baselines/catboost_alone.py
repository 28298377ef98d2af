"""`python -m load_tests.baselines.catboost_alone MODEL ROWS`: CatBoost by itself on ready rows, timed when asked.

ROWS is an `.npz` with `numbers`, float32 `(n_sets, n_rows, n_numeric)`, and `words`, bytes `(n_sets, n_rows,
n_categorical)`. A number on standard input is answered by the seconds of so many predictions, one set after the other.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import catboost
import numpy as np
from numpy.typing import NDArray

from load_tests.benchmark.companion import answer_lines

_TRIALS: Final = 20


class Alone:
    """A model and what it is asked, as ready as it can be.

    Args:
        model: The model's file.
        rows: See the module.
    """

    def __init__(self, model: Path, rows: Path) -> None:
        self._model = catboost.CatBoost().load_model(str(model))
        with np.load(rows) as found:
            self._sets = self._ready(found["numbers"], found["words"])

    def times(self, count: int) -> list[float]:
        """Seconds of so many predictions."""
        return [self._time(self._sets[number % len(self._sets)]) for number in range(count)]

    def _ready(self, numbers: NDArray[np.float32], words: NDArray[np.bytes_]) -> Sequence[Any]:
        """A Pool per set where there are categories; else matrices in the layout that CatBoost is faster with."""
        if words.shape[-1]:
            names, categorical = self._model.feature_names_, set(self._model.get_cat_feature_indices())
            numeric = [name for at, name in enumerate(names) if at not in categorical]
            textual = [name for at, name in enumerate(names) if at in categorical]
            return [
                catboost.Pool(catboost.FeaturesData(np.asfortranarray(some), cells.astype(object), numeric, textual))
                for some, cells in zip(numbers, words, strict=True)
            ]
        layouts = [list(map(np.ascontiguousarray, numbers)), list(map(np.asfortranarray, numbers))]
        return min(layouts, key=lambda sets: median(self._time(sets[0]) for _ in range(_TRIALS)))

    def _time(self, data: Any) -> float:
        began = time.perf_counter()
        self._model.predict(data, prediction_type="Probability", thread_count=1)
        return time.perf_counter() - began


if __name__ == "__main__":
    answer_lines(Alone(Path(sys.argv[1]), Path(sys.argv[2])).times)
