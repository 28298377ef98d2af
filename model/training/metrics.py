"""Measures of a ranking, for the model card. Labels are booleans (True: fraud), scores any numbers.

Payments with equal scores are always treated as one group, so no measure depends on the order of the input.
"""

import numpy as np

from model.training.history import Bools, Floats, Ints


def roc_auc(fraud: Bools, scores: Floats) -> float:
    """Probability that a fraud scores above a genuine payment, ties counting half; NaN if either is lacking.

    Source: Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC)
    curve", Radiology 143 (1982): AUC = (R - m (m + 1) / 2) / (m n), R being the sum of the ranks of the m frauds
    among all m + n payments.

    Args:
        fraud: Labels; shape `(n,)`.
        scores: Higher means more suspicious; shape `(n,)`.
    """
    _, group, size = np.unique(scores, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(size) - (size - 1) / 2
    frauds = int(fraud.sum())
    genuine = len(fraud) - frauds
    if not frauds or not genuine:
        return float("nan")
    rank_sum = float(middle_rank[group][fraud].sum())
    return (rank_sum - frauds * (frauds + 1) / 2) / (frauds * genuine)


def precision_recall(fraud: Bools, scores: Floats) -> tuple[Floats, Floats]:
    """Precision and recall when everything from a score upwards is an alert, for each score from the highest down.

    Args:
        fraud: Labels, at least one of them True; shape `(n,)`.
        scores: Higher means more suspicious; shape `(n,)`.

    Returns:
        Precision and recall, each of shape `(n_distinct_scores,)`; recall ascends to 1.
    """
    _, group, size = np.unique(-scores, return_inverse=True, return_counts=True)
    caught = np.cumsum(np.bincount(group, weights=fraud, minlength=len(size)))
    return caught / np.cumsum(size), caught / fraud.sum()


def average_precision(fraud: Bools, scores: Floats) -> float:
    """Precision averaged over the steps in recall: AP = sum of (R_k - R_(k-1)) P_k; NaN without any fraud.

    Source: the definition without interpolation that scikit-learn documents for `average_precision_score`, and that
    the fraud detection handbook uses (chapter 4, "Threshold-free metrics").

    Args:
        fraud: Labels; shape `(n,)`.
        scores: Higher means more suspicious; shape `(n,)`.
    """
    if not fraud.any():
        return float("nan")
    precision, recall = precision_recall(fraud, scores)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def precision_top_k(fraud: Bools, scores: Floats, day: Ints, k: int) -> float:
    """Mean over days of the share of frauds among the k most suspicious payments of the day.

    What a team sees that can look into k alerts a day. Where the k-th place is shared, its frauds count in
    proportion. A day of fewer than k payments counts what it has.

    Source: P@k(d) = |frauds among the alerts of day d| / k, the fraud detection handbook, chapter 4, section
    "Precision top-k metrics"
    (https://fraud-detection-handbook.github.io/fraud-detection-handbook/Chapter_4_PerformanceMetrics/TopKBased.html).
    Ours counts payments; the handbook's "card precision top-k" counts cards and skips those already known.

    Args:
        fraud: Labels; shape `(n,)`.
        scores: Higher means more suspicious; shape `(n,)`.
        day: Which day each payment belongs to; shape `(n,)`.
        k: Alerts a day; at least 1.
    """
    return float(np.mean([_top_k(fraud[day == one], scores[day == one], k) for one in np.unique(day)]))


def best_precision_top_k(fraud: Bools, day: Ints, k: int) -> float:
    """What `precision_top_k` would be if every fraud scored above every genuine payment; args as there."""
    return precision_top_k(fraud, fraud.astype(np.float64), day, k)


def _top_k(fraud: Bools, scores: Floats, k: int) -> float:
    k = min(k, len(scores))
    threshold = np.partition(scores, -k)[-k]
    above, at = scores > threshold, scores == threshold
    places_left = k - int(above.sum())
    return float(fraud[above].sum() + fraud[at].mean() * places_left) / k
