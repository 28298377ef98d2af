"""The measures of a ranking, against cases worked by hand and against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.training.metrics import (
    average_precision,
    best_precision_top_k,
    precision_recall,
    precision_top_k,
    roc_auc,
)

RANKED = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=30)


def table(*rows: tuple[float, bool]) -> tuple[np.ndarray, np.ndarray]:
    """Fraud and scores, shuffled: no measure may depend on the order."""
    mixed = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    return np.array([fraud for _, fraud in mixed]), np.array([score for score, _ in mixed], dtype=np.float64)


def test_roc_auc_of_a_case_worked_by_hand() -> None:
    # Pairs: 4 above 3, 2, 1 (three wins); 2 above 1, below 3, level with the other 2 (one and a half).
    fraud, scores = table((4, True), (3, False), (2, True), (2, False), (1, False))
    assert roc_auc(fraud, scores) == pytest.approx(4.5 / 6)


def test_roc_auc_of_perfect_reversed_and_constant_rankings() -> None:
    fraud = np.array([True, True, False, False])
    assert roc_auc(fraud, np.array([4.0, 3, 2, 1])) == 1
    assert roc_auc(fraud, np.array([1.0, 2, 3, 4])) == 0
    assert roc_auc(fraud, np.ones(4)) == 0.5


def test_without_frauds_there_is_nothing_to_rank() -> None:
    none = np.zeros(3, dtype=np.bool_)
    assert math.isnan(roc_auc(none, np.arange(3.0)))
    assert math.isnan(roc_auc(~none, np.arange(3.0)))
    assert math.isnan(average_precision(none, np.arange(3.0)))


@given(RANKED)
def test_roc_auc_is_the_share_of_pairs_in_the_right_order(ranked: list[tuple[bool, int]]) -> None:
    fraud = np.array([one for one, _ in ranked])
    scores = np.array([score for _, score in ranked], dtype=np.float64)
    wins = [(f > g) + (f == g) / 2 for f in scores[fraud] for g in scores[~fraud]]
    assert roc_auc(fraud, scores) == pytest.approx(np.mean(wins) if wins else math.nan, nan_ok=True)


def test_precision_and_recall_of_a_case_worked_by_hand() -> None:
    fraud, scores = table((4, True), (3, False), (2, True), (2, False), (1, False))
    precision, recall = precision_recall(fraud, scores)
    np.testing.assert_allclose(precision, [1, 1 / 2, 2 / 4, 2 / 5])
    np.testing.assert_allclose(recall, [1 / 2, 1 / 2, 1, 1])


def test_average_precision_of_a_case_worked_by_hand() -> None:
    # Half the recall at precision 1, the other half at precision 1/2.
    fraud, scores = table((4, True), (3, False), (2, True), (2, False), (1, False))
    assert average_precision(fraud, scores) == pytest.approx(0.75)


def test_average_precision_of_a_constant_ranking_is_the_fraud_rate() -> None:
    assert average_precision(np.array([True, False, False, False]), np.ones(4)) == 0.25


def test_precision_at_the_top_is_the_mean_over_days() -> None:
    day = np.array([0, 0, 0, 1, 1, 1])
    fraud = np.array([True, True, False, False, True, False])
    scores = np.array([0.9, 0.8, 0.1, 0.9, 0.8, 0.7])
    assert precision_top_k(fraud, scores, day, 2) == pytest.approx((1.0 + 0.5) / 2)
    assert best_precision_top_k(fraud, day, 2) == pytest.approx((1.0 + 0.5) / 2)


def test_a_shared_last_place_counts_in_proportion() -> None:
    fraud = np.array([True, True, False, False])
    scores = np.array([2.0, 1, 1, 1])
    assert precision_top_k(fraud, scores, np.zeros(4, dtype=np.int64), 2) == pytest.approx((1 + 1 / 3) / 2)


def test_a_day_of_fewer_payments_counts_what_it_has() -> None:
    assert precision_top_k(np.array([True, False]), np.array([1.0, 0.5]), np.zeros(2, dtype=np.int64), 100) == 0.5
