"""Golden lines stand alone: anybody with the model, the spec and a line gets the line's scores."""

import json
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd
import pytest
import yaml

from features.transforms import BUILT_IN
from model.training import golden
from model.training.catalog import VIEWS
from model.training.history import History

Line = dict[str, Any]


@pytest.fixture(scope="module")
def lines(bundle: Path) -> list[Line]:
    return [json.loads(line) for line in (bundle / "golden.jsonl").read_text("utf-8").splitlines()]


def given(feature: dict[str, Any], line: Line) -> Any:
    view, column = feature["from"].split(".")
    return line["instance"][column] if view == "request" else line["rows"][view]["values"][column]


def vectors(bundle: Path, lines: list[Line]) -> pd.DataFrame:
    """The model's input from the lines and serving.yaml alone."""
    made: dict[str, Any] = {}
    for feature in yaml.safe_load((bundle / "serving.yaml").read_text("utf-8"))["features"]:
        if "derive" in feature:
            ((function, inputs),) = feature["derive"].items()
            made[feature["name"]] = BUILT_IN[function](*(made[name] for name in inputs))
            continue
        values = [given(feature, line) for line in lines]
        if feature.get("dtype") == "string":
            made[feature["name"]] = pd.Series(["nan" if value is None else value for value in values], dtype=object)
        else:
            made[feature["name"]] = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return pd.DataFrame(made)


def test_scores_are_the_models(bundle: Path, lines: list[Line]) -> None:
    trained = catboost.CatBoostClassifier().load_model(str(bundle / "model.cbm"))
    again = trained.predict_proba(vectors(bundle, lines))
    np.testing.assert_allclose(again, [line["scores"] for line in lines], rtol=0, atol=1e-9)


def test_there_are_enough_lines_even_in_a_small_build(lines: list[Line]) -> None:
    assert len(lines) >= golden.MIN_LINES


def test_no_customer_and_no_merchant_appears_twice(lines: list[Line]) -> None:
    for key in ("customer_id", "merchant_id"):
        assert len({line["instance"][key] for line in lines}) == len(lines)


def test_scores_spread_from_low_to_high(lines: list[Line]) -> None:
    fraud = np.array([line["scores"][1] for line in lines])
    assert (fraud < 0.01).sum() >= 20
    assert ((fraud > 0.05) & (fraud < 0.5)).sum() >= 10
    assert (fraud > 0.5).sum() >= 5


def test_some_rows_have_nulls(lines: list[Line]) -> None:
    activity = [line["rows"]["customer_activity"]["values"] for line in lines]
    assert sum(values["mean_amount_1d"] is None for values in activity) >= 5
    assert all((values["mean_amount_1d"] is None) == (values["txn_count_1d"] == 0) for values in activity)


def test_rows_hold_every_column_of_every_view(lines: list[Line]) -> None:
    for line in lines:
        assert set(line["rows"]) == set(VIEWS)
        for view, row in line["rows"].items():
            assert set(row["values"]) == set(VIEWS[view].columns)


def test_amounts_are_written_as_a_caller_would_in_whole_cents(lines: list[Line]) -> None:
    amounts = [line["instance"]["amount"] for line in lines]
    assert amounts == [round(amount, 2) for amount in amounts]


def test_lines_come_from_the_test_period_and_rows_from_before(lines: list[Line], history: History) -> None:
    test_from = history.end_s - 17 * 86_400
    for line in lines:
        assert test_from <= line["now"] <= history.end_s
        assert all(row["event_time"] < line["now"] for row in line["rows"].values())


def test_too_few_merchants_are_refused_in_words(history: History) -> None:
    made = history.transactions
    few = made.take(made.merchant < 150)
    scores = np.random.default_rng(0).uniform(0.1, 0.9, len(few))
    with pytest.raises(golden.TooFewLines, match="at least 300 customers"):
        golden.choose(np.random.default_rng(0), few, scores, np.zeros(len(few), dtype=np.bool_))
