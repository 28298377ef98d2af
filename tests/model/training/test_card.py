"""The card says what was measured, and the model clearly beats the amount alone."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from model.training.card import ModelCard
from model.training.history import History
from model.training.plot import precision_recall_svg
from model.training.train import Split


def test_the_model_clearly_beats_the_baseline(card: ModelCard) -> None:
    assert card.model.roc_auc > card.baseline.roc_auc + 0.1
    assert card.model.average_precision > 1.5 * card.baseline.average_precision
    assert card.baseline.precision_top_100 < card.model.precision_top_100 <= card.best_top_100


def test_sizes_are_those_of_the_history(card: ModelCard, history: History) -> None:
    made, split = history.transactions, Split.of(history.days)
    assert card.transactions == len(made)
    assert card.declined == history.declined
    assert (card.train_rows, card.test_rows) == (len(split.training(made)), len(split.test(made)))
    assert card.fraud_rate == made.fraud.mean()


def test_the_ten_most_important_features_come_in_order(card: ModelCard) -> None:
    shares = [share for _, share in card.importances]
    assert len(shares) == 10
    assert shares == sorted(shares, reverse=True)


def test_the_text_names_seeds_dates_and_measures(card: ModelCard, bundle: Path) -> None:
    text = card.text()
    assert text == (bundle / "model_card.md").read_text("utf-8")
    assert "Seeds: simulation 5, model 7." in text
    assert "2025-10-23 to 2025-12-31" in text
    assert f"| ROC AUC | {card.model.roc_auc:.3f} | {card.baseline.roc_auc:.3f} | 1 |" in text
    assert all(f"| {name} | " in text for name, _ in card.importances)


def test_the_picture_has_a_line_for_each_curve_inside_its_frame() -> None:
    recall = np.linspace(0.001, 1, 5000)
    picture = ET.fromstring(  # noqa: S314  # our own text, two lines up
        precision_recall_svg({"good": (np.ones(5000), recall), "poor": (1 - recall / 2, recall)})
    )
    lines = list(picture.iter("{http://www.w3.org/2000/svg}polyline"))
    assert len(lines) == 2
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert 100 < len(points) <= 150
        assert all(60 <= x <= 480 and 20 <= y <= 300 for x, y in points)
