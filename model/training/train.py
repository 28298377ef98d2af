"""Fits the demo's classifier on the past and leaves the last days to test it on.

The one file in training that imports CatBoost; serving has a door of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier, Pool

from model.training.catalog import CATEGORICAL
from model.training.features_in_time import LABEL_DELAY_DAYS, WINDOW_DAYS
from model.training.history import DAY_MS, Bools, Floats, Ints, Transactions

TREES: Final = 300
DEPTH: Final = 6
LEARNING_RATE: Final = 0.06
THREADS: Final = 2
TEST_DAYS: Final = 30

# Training sees a dozen or two compromised merchants. These columns together tell which merchant it is, and trees
# would rather learn those merchants by heart than how fraud shows; so a split on them has to be worth more.
# Measured: the test's ROC AUC and average precision stay where they are, the importances change from
# "category, country, count" to "amount against the usual, channel, balance, fraud rate".
_IDENTIFYING: Final = (
    "home_country",
    "merchant_txn_count_1d",
    "merchant_txn_count_7d",
    "merchant_txn_count_30d",
    "merchant_category",
    "merchant_country",
)
_IDENTIFYING_WEIGHT: Final = 0.2

# CatBoost writes into the file when it was trained, and a random ID. Without those, equal seeds give equal files, and
# the digest in serving.yaml says whether two builds are the same.
_VOLATILE_METADATA: Final = ("train_finish_time", "model_guid")


@dataclass(frozen=True, slots=True)
class Split:
    """Which days train, which wait for labels and which test.

    Days before `train_from` only fill the windows. Between `train_until` and `test_from` lies the label delay: on the
    day the model goes live, labels of the last days are not known yet.

    Source: the fraud detection handbook, chapter 5, section "Validation strategies" (prequential split with delay).

    Attributes:
        train_from: First day of training, counted from 0.
        train_until: First day that training does not see.
        test_from: First day of the test.
        test_until: The end of the history.
    """

    train_from: int
    train_until: int
    test_from: int
    test_until: int

    @classmethod
    def of(cls, days: int) -> "Split":
        """The split of a history of so many days: the test takes the last quarter, but no more than 30 days.

        Raises:
            ValueError: The history is too short to leave a day of training.
        """
        test_from = days - min(TEST_DAYS, days // 4)
        split = cls(max(WINDOW_DAYS), test_from - LABEL_DELAY_DAYS, test_from, days)
        if split.train_from >= split.train_until:
            raise ValueError(f"{days} days leave nothing to train on; 60 are enough")
        return split

    def training(self, transactions: Transactions) -> Ints:
        """Rows of the payments to train on, in order of time."""
        return _between(transactions, self.train_from, self.train_until)

    def test(self, transactions: Transactions) -> Ints:
        """Rows of the payments to test on, in order of time."""
        return _between(transactions, self.test_from, self.test_until)


def fit(frame: pd.DataFrame, fraud: Bools, *, seed: int, progress: Callable[[str], None]) -> CatBoostClassifier:
    """A classifier fitted to the rows of `frame`; equal input and seed give an equal model.

    Args:
        frame: The features in the model's order, as `catalog.feature_frame` makes them.
        fraud: Labels; shape `(n_rows,)`.
        seed: CatBoost's random seed.
        progress: Told every tenth of the way.
    """
    model = CatBoostClassifier(
        iterations=TREES,
        depth=DEPTH,
        learning_rate=LEARNING_RATE,
        l2_leaf_reg=30,  # both of these against learning by heart, see above
        random_strength=3,
        # By position: with names, CatBoost complains on stderr whenever the file is loaded.
        feature_weights=[_IDENTIFYING_WEIGHT if name in _IDENTIFYING else 1.0 for name in frame.columns],
        # Every category is compared for equality. Statistics of categories (CTR) would make scoring several times
        # slower, and none of ours has more than eight values.
        one_hot_max_size=16,
        thread_count=THREADS,
        random_seed=seed,
        allow_writing_files=False,
        logging_level="Silent",
    )
    pool = Pool(frame, fraud.astype(np.int64), cat_features=list(CATEGORICAL), thread_count=THREADS)
    model.fit(pool, callbacks=[_Progress(progress)])
    for name in _VOLATILE_METADATA:
        model.get_metadata()[name] = ""
    return model


def predict(model: CatBoostClassifier, frame: pd.DataFrame) -> Floats:
    """Probabilities of genuine and fraud for each row; shape `(n_rows, 2)`."""
    probabilities: Floats = model.predict_proba(frame, thread_count=THREADS)
    return probabilities


def save(model: CatBoostClassifier, path: Path) -> None:
    """Writes the model in CatBoost's own format."""
    model.save_model(str(path), format="cbm")


def importances(model: CatBoostClassifier) -> list[tuple[str, float]]:
    """Features and their importances in percent, the most important first.

    Source: CatBoost's PredictionValuesChange: how much the prediction moves on average when the feature changes.
    """
    values = model.get_feature_importance().tolist()
    return sorted(zip(model.feature_names_, values, strict=True), key=lambda pair: -pair[1])


class _Progress:
    """CatBoost's callback: one line every tenth of the trees."""

    __slots__ = ("_report",)

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report

    def after_iteration(self, info: Any) -> bool:
        """Called after each tree; True means go on."""
        if info.iteration % (TREES // 10) == 0:
            self._report(f"training: {info.iteration} of {TREES} trees")
        return True


def _between(transactions: Transactions, first_day: int, last_day: int) -> Ints:
    bounds = np.searchsorted(transactions.time_ms, [first_day * DAY_MS, last_day * DAY_MS])
    return np.arange(*bounds)
