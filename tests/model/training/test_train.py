"""The split keeps the future out of training, and equal input gives an equal model."""

from dataclasses import replace
from pathlib import Path

import catboost
import numpy as np
import pytest

from model.training import train
from model.training.catalog import CATEGORICAL, FEATURES
from model.training.demo import model_input
from model.training.features_in_time import PointInTime
from model.training.history import DAY_MS, History
from model.training.simulate import SimulationConfig, simulate
from model.training.train import Split


def test_the_shipped_split_tests_on_the_last_30_days() -> None:
    assert Split.of(120) == Split(train_from=30, train_until=83, test_from=90, test_until=120)


def test_a_short_history_is_tested_on_its_last_quarter() -> None:
    assert Split.of(70) == Split(train_from=30, train_until=46, test_from=53, test_until=70)


def test_a_history_without_room_for_training_is_refused() -> None:
    with pytest.raises(ValueError, match="leave nothing to train on"):
        Split.of(49)


def test_training_ends_a_label_delay_before_the_test(history: History) -> None:
    made, split = history.transactions, Split.of(history.days)
    trained, tested = made.time_ms[split.training(made)], made.time_ms[split.test(made)]
    assert trained.min() >= 30 * DAY_MS
    assert tested.min() - trained.max() >= 7 * DAY_MS
    assert tested.max() == made.time_ms.max()


def test_equal_seeds_give_equal_files_whenever_the_history_ends(small: SimulationConfig, tmp_path: Path) -> None:
    files = []
    for end_s in (small.end_s, small.end_s + 86_400):
        config = replace(small, end_s=end_s)
        history = simulate(config)
        trained = history.transactions.take(Split.of(config.days).training(history.transactions))
        frame = model_input(PointInTime(history), trained)
        model = train.fit(frame, trained.fraud, seed=1, progress=lambda _: None)
        train.save(model, tmp_path / f"{end_s}.cbm")
        files.append((tmp_path / f"{end_s}.cbm").read_bytes())
    assert files[0] == files[1]


def test_a_model_loads_without_a_word(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    catboost.CatBoostClassifier().load_model(str(bundle / "model.cbm"))
    assert capfd.readouterr() == ("", "")


def test_the_frame_has_the_features_in_order_with_numbers_as_float64(history: History, known: PointInTime) -> None:
    frame = model_input(known, history.transactions.take(np.arange(500)))
    assert frame.columns.tolist() == [feature.name for feature in FEATURES]
    assert {name for name in frame if frame[name].dtype == np.float64} == set(frame) - set(CATEGORICAL)
    assert frame["mean_amount_1d"].isna().any()
    assert frame["txn_count_1d"].notna().all()
