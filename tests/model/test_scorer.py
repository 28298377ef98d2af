"""A loaded model scores as the one that was trained, and refuses what it cannot score."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catboost import CatBoostClassifier, Pool

from model.errors import ModelInvalid, ScoresNotFinite, ScoringFailed
from model.scorer import CatBoostScorer
from model.signature import DEFAULT_THRESHOLD, PredictionType, Task

Train = Callable[[str], Any]  # conftest's Trained; test folders are not packages
REPOSITORY = Path(__file__).parents[2]


def scorer_of(one: Any) -> CatBoostScorer:
    return CatBoostScorer.from_bytes(one.blob)


# --- scores ---


def test_scores_are_bit_for_bit_those_of_the_trained_model(each: Any) -> None:
    scores = scorer_of(each).score(each.numeric, each.categorical)
    np.testing.assert_array_equal(scores, each.expected.reshape(len(each.numeric), -1))
    assert scores.dtype == np.float64


def test_a_row_scores_bit_for_bit_the_same_alone_and_among_others(each: Any) -> None:
    scorer = scorer_of(each)
    batch = scorer.score(each.numeric, each.categorical)
    for size in (1, 2, 7, 128, 129):
        for start in range(0, 200, 50 if size == 1 else size):
            rows = slice(start, start + size)
            part = scorer.score(each.numeric[rows], each.categorical[rows])
            np.testing.assert_array_equal(part, batch[rows])


@pytest.mark.parametrize("threads", [2, 3])
def test_ten_thousand_rows_score_bit_for_bit_the_same_however_many_threads_share_them(each: Any, threads: int) -> None:
    scorer = scorer_of(each)
    rows = np.random.default_rng(2).integers(0, len(each.numeric), 10_000)
    numeric, categorical = each.numeric[rows], each.categorical[rows]
    one = scorer.score(numeric, categorical)
    assert scorer.score(numeric, categorical, threads=threads).tobytes() == one.tobytes()


def test_class_of_a_row_is_what_catboost_predicts(each: Any) -> None:
    scorer = scorer_of(each)
    scores = scorer.score(each.numeric, each.categorical).tolist()
    answers = [scorer.signature.predicted_class(row) for row in scores]
    if scorer.signature.task is not Task.CLASSIFICATION:
        assert set(answers) == {None}
        return
    frame = each.numeric if not each.categorical.size else _pool_of(each, scorer)
    classes = each.model.predict(frame, prediction_type="Class").ravel()
    labels = scorer.signature.classes
    assert labels is not None
    assert [labels[answer] for answer in answers if answer is not None] == [str(label) for label in classes]


def _pool_of(one: Any, scorer: CatBoostScorer) -> Pool:
    signature = scorer.signature
    table = np.empty((len(one.numeric), len(signature.features)), dtype=object)
    table[:, signature.numeric] = one.numeric
    table[:, signature.categorical] = one.categorical
    return Pool(table, cat_features=signature.categorical, feature_names=one.model.feature_names_)


def test_missing_numbers_and_unknown_categories_score(trained: Train) -> None:
    scorer = scorer_of(trained("mixed"))
    numeric = np.full((2, 3), np.nan, dtype=np.float32)
    known, unknown = scorer.score(numeric, [["c1", "é 2"], ["never seen", ""]])
    assert np.isfinite([known, unknown]).all()


def test_order_in_memory_does_not_change_scores(trained: Train) -> None:
    one = trained("mixed")
    scorer = scorer_of(one)
    columns = np.asfortranarray(one.numeric), np.asfortranarray(one.categorical)
    np.testing.assert_array_equal(scorer.score(*columns), scorer.score(one.numeric, one.categorical))
    every_other = scorer.score(one.numeric[::2], one.categorical[::2])
    np.testing.assert_array_equal(every_other, scorer.score(*columns)[::2])


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("case", ["binary", "mixed"])
def test_the_callers_array_stays_writable(trained: Train, case: str, order: Any, rows: int) -> None:
    """CatBoost 1.2.10 takes the right to write away from the array object it is given."""
    one = trained(case)
    numeric = np.array(one.numeric[:rows], order=order)
    before = numeric.copy()
    scorer_of(one).score(numeric, one.categorical[:rows])
    assert numeric.flags.writeable
    np.testing.assert_array_equal(numeric, before)


def test_a_read_only_matrix_scores(trained: Train) -> None:
    one = trained("binary")
    numeric = np.frombuffer(one.numeric.tobytes(), dtype=np.float32).reshape(one.numeric.shape)
    np.testing.assert_array_equal(scorer_of(one).score(numeric), one.expected)


@pytest.mark.parametrize(
    "convert",
    [
        lambda words: words.tolist(),
        lambda words: words.astype(str),
        lambda words: [[word.encode() for word in row] for row in words],
        lambda words: tuple(map(tuple, words)),
    ],
    ids=["lists of str", "array of str", "lists of bytes", "tuples"],
)
def test_categories_may_come_in_any_sequence(trained: Train, convert: Callable[[Any], Any]) -> None:
    one = trained("mixed")
    np.testing.assert_array_equal(scorer_of(one).score(one.numeric, convert(one.categorical)), one.expected)


def test_no_rows_give_no_scores(trained: Train) -> None:
    assert scorer_of(trained("multiclass")).score(np.empty((0, 3), dtype=np.float32)).shape == (0, 3)
    mixed = scorer_of(trained("mixed"))
    assert mixed.score(np.empty((0, 3), dtype=np.float32), []).shape == (0, 2)


def test_threads_score_alike(trained: Train) -> None:
    one = trained("mixed")
    scorer = scorer_of(one)
    wrong: list[int] = []

    def score(start: int) -> None:
        for row in range(start, 200, 4):
            scores = scorer.score(one.numeric[row : row + 1], one.categorical[row : row + 1])
            if not np.array_equal(scores[0], one.expected[row]):
                wrong.append(row)

    threads = [threading.Thread(target=score, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- what is refused ---


@pytest.mark.parametrize(
    ("numeric", "message"),
    [
        (np.zeros((2, 3)), "float32"),
        (np.zeros((2, 3), dtype=np.int32), "float32"),
        (np.zeros(3, dtype=np.float32), "rows and columns"),
        (np.zeros((1, 2, 3), dtype=np.float32), "rows and columns"),
        ([[0.0, 0.0, 0.0]], "float32"),
        (np.zeros((2, 2), dtype=np.float32), "2 numeric columns, the model has 3"),
        (np.zeros((2, 4), dtype=np.float32), "4 numeric columns, the model has 3"),
    ],
)
def test_numbers_of_a_wrong_form_are_refused(trained: Train, numeric: Any, message: str) -> None:
    with pytest.raises(ScoringFailed, match=message):
        scorer_of(trained("binary")).score(numeric)


@pytest.mark.parametrize(
    "categorical",
    [
        None,
        [],
        [["c1"], ["c1"]],
        [["c1", "é 1"]],
        [["c1", "é 1", "x"], ["c1", "é 1", "x"]],
        [["c1", "é 1"], ["c1"]],
        ["c1", "é 1"],
        [[None, "é 1"], ["c1", "é 1"]],
        [[1, "é 1"], ["c1", "é 1"]],
        [[1.5, "é 1"], ["c1", "é 1"]],
        [["\ud800", "é 1"], ["c1", "é 1"]],
        [np.full((1, 2), "c1"), np.full((1, 3), "c1")],
    ],
)
def test_categories_of_a_wrong_form_are_refused(trained: Train, categorical: Any) -> None:
    with pytest.raises(ScoringFailed):
        scorer_of(trained("mixed")).score(np.zeros((2, 3), dtype=np.float32), categorical)


def test_categories_for_a_model_without_any_are_refused(trained: Train) -> None:
    with pytest.raises(ScoringFailed, match="shape"):
        scorer_of(trained("binary")).score(np.zeros((1, 3), dtype=np.float32), [["c1"]])


def test_a_refusal_does_not_repeat_the_value(trained: Train) -> None:
    secret = np.array([["secret \ud800", "x"]], dtype=object)
    with pytest.raises(ScoringFailed) as caught:
        scorer_of(trained("mixed")).score(np.zeros((1, 3), dtype=np.float32), secret)
    assert "secret" not in str(caught.value)


def test_a_score_that_is_not_finite_is_refused(trained: Train) -> None:
    one = trained("poisson")
    scorer = scorer_of(one)
    scorer._model.set_scale_and_bias(1e6, 0.0)  # e to the power of this overflows
    with pytest.raises(ScoringFailed, match="finite"):
        scorer.score(one.numeric)


def test_rows_beside_one_without_a_finite_score_have_theirs_bit_by_bit(trained: Train) -> None:
    one = trained("poisson")
    scorer = scorer_of(one)
    raw = scorer._model.predict(one.numeric, prediction_type="RawFormulaVal")
    scale, bias = scorer._model.get_scale_and_bias()
    scorer._model.set_scale_and_bias(scale, bias + 709.7 - np.median(raw))  # of about half of the rows it overflows
    with pytest.raises(ScoresNotFinite) as caught:
        scorer.score(one.numeric)
    lost = np.isnan(caught.value.scores).all(axis=1)
    assert 20 < lost.sum() < len(one.numeric) - 20
    np.testing.assert_array_equal(caught.value.scores[~lost], scorer.score(one.numeric[~lost]))
    for at in np.flatnonzero(lost):
        with pytest.raises(ScoresNotFinite):
            scorer.score(one.numeric[at : at + 1])


def test_a_row_one_of_whose_outputs_is_not_finite_has_none(trained: Train) -> None:
    one = trained("several targets")
    scorer = scorer_of(one)
    scorer._model.set_scale_and_bias(1e307, [1.79e308, 0.0])  # where the first output is above 0.08, it overflows
    with pytest.raises(ScoresNotFinite) as caught:
        scorer.score(one.numeric)
    lost = np.isnan(caught.value.scores)
    assert 0 < lost[:, 0].sum() < len(one.numeric)
    np.testing.assert_array_equal(lost[:, 0], lost[:, 1])
    assert np.isfinite(caught.value.scores[~lost]).all()


# --- what the model says about itself ---


def test_signature_of_a_mixed_model(trained: Train) -> None:
    signature = scorer_of(trained("mixed")).signature
    assert signature.features == ("country", "a", "b", "segment", "z")
    assert signature.categorical == (0, 3)
    assert signature.numeric == (1, 2, 4)
    assert signature.task is Task.CLASSIFICATION
    assert signature.n_outputs == 2
    assert signature.threshold == DEFAULT_THRESHOLD


def test_names_are_the_models_own(each: Any) -> None:
    assert list(scorer_of(each).signature.features) == each.model.feature_names_


@pytest.mark.parametrize(
    ("case", "classes"),
    [
        ("binary", ("0", "1")),
        ("string labels", ("no", "yes")),
        ("boolean labels", ("False", "True")),
        ("float labels", ("0.0", "1.5")),
        ("cross entropy", ("0", "1")),
        ("multiclass", ("0", "1", "2")),
        ("one against all", ("0", "1", "2")),
        ("sum of models", ("0", "1")),
        ("regression", None),
        ("ranker", None),
    ],
)
def test_classes_are_strings_in_the_models_order(trained: Train, case: str, classes: tuple[str, ...] | None) -> None:
    assert scorer_of(trained(case)).signature.classes == classes


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("binary", (Task.CLASSIFICATION, PredictionType.PROBABILITY, 2, 0.5)),
        ("binary with threshold", (Task.CLASSIFICATION, PredictionType.PROBABILITY, 2, 0.8)),
        ("sum of models", (Task.CLASSIFICATION, PredictionType.PROBABILITY, 2, 0.5)),
        ("multiclass", (Task.CLASSIFICATION, PredictionType.PROBABILITY, 3, None)),
        ("multiclass of two", (Task.CLASSIFICATION, PredictionType.PROBABILITY, 2, None)),
        ("multilabel", (Task.MULTILABEL, PredictionType.PROBABILITY, 3, None)),
        ("regression", (Task.REGRESSION, PredictionType.RAW, 1, None)),
        ("ranker", (Task.REGRESSION, PredictionType.RAW, 1, None)),
        ("poisson", (Task.REGRESSION, PredictionType.EXPONENT, 1, None)),
        ("tweedie", (Task.REGRESSION, PredictionType.EXPONENT, 1, None)),
        ("uncertainty", (Task.REGRESSION, PredictionType.UNCERTAINTY, 2, None)),
        ("several targets", (Task.REGRESSION, PredictionType.RAW, 2, None)),
        ("quantiles", (Task.REGRESSION, PredictionType.RAW, 3, None)),
    ],
)
def test_task_and_outputs_follow_the_loss(trained: Train, case: str, expected: tuple[object, ...]) -> None:
    signature = scorer_of(trained(case)).signature
    assert (signature.task, signature.prediction_type, signature.n_outputs, signature.threshold) == expected


# --- models that cannot be served ---


def _saved(model: CatBoostClassifier, folder: Path) -> bytes:
    model.save_model(folder / "model.cbm")
    return (folder / "model.cbm").read_bytes()


def _small(**params: Any) -> CatBoostClassifier:
    return CatBoostClassifier(iterations=3, depth=2, thread_count=1, verbose=False, allow_writing_files=False, **params)


@pytest.mark.parametrize("words", ["text", "embedding"])
def test_text_and_embedding_features_are_refused_by_name(tmp_path: Path, words: str) -> None:
    cells: list[Any] = ["a good thing", "bad stuff", "good", "bad"]
    vectors: list[Any] = [[1.0, 2.0], [2.0, 1.0], [1.0, 2.1], [2.1, 1.0]]
    rows = [[cell, "key"] for cell in (cells if words == "text" else vectors)] * 20
    pool = Pool(rows, [1, 0, 1, 0] * 20, cat_features=[1], **{f"{words}_features": [0]})
    with pytest.raises(ModelInvalid, match=f"uses {words} features"):
        CatBoostScorer.from_bytes(_saved(_small().fit(pool), tmp_path))


def test_names_that_clash_with_a_default_name_are_refused(tmp_path: Path) -> None:
    pool = Pool(np.random.default_rng(0).normal(size=(40, 2)), [0, 1] * 20, feature_names=["1", ""])
    with pytest.raises(ModelInvalid, match="the same name"):
        CatBoostScorer.from_bytes(_saved(_small().fit(pool), tmp_path))


def test_a_model_with_gaps_among_its_columns_is_refused(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=(40, 3))
    numbers[:, 1] = 1.0
    model = _small().fit(numbers, (numbers[:, 2] > 0).astype(int))
    model.drop_unused_features()
    with pytest.raises(ModelInvalid, match="drop_unused_features"):
        CatBoostScorer.from_bytes(_saved(model, tmp_path))


@pytest.mark.parametrize(
    ("key", "value"), [("binclass_probability_threshold", "half"), ("params", "{"), ("params", "[]")]
)
def test_damaged_metadata_is_refused(tmp_path: Path, key: str, value: str) -> None:
    model = _small().fit([[0.0], [1.0]] * 20, [0, 1] * 20)
    model.get_metadata()[key] = value
    with pytest.raises(ModelInvalid, match="CatBoost cannot use"):
        CatBoostScorer.from_bytes(_saved(model, tmp_path))


def test_labels_that_do_not_match_the_scores_are_refused(tmp_path: Path) -> None:
    model = _small().fit([[0.0], [1.0], [2.0]] * 20, [0, 1, 2] * 20)
    labels = model.get_metadata()["class_params"]
    model.get_metadata()["class_params"] = labels.replace("[0,1,2]", "[0,1]")
    with pytest.raises(ModelInvalid, match="2 class labels for 3 scores"):
        CatBoostScorer.from_bytes(_saved(model, tmp_path))


# --- the process ---


def test_nothing_is_written_or_printed(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    one = trained("mixed")
    monkeypatch.chdir(tmp_path)
    scorer = scorer_of(one)
    scorer.score(one.numeric, one.categorical)
    scorer.score(one.numeric[:0], one.categorical[:0])
    with pytest.raises(ModelInvalid):
        CatBoostScorer.from_bytes(b"CBM1\x04\x00\x00\x00....")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_only_the_scorer_imports_catboost_and_only_a_bucket_imports_httpx() -> None:
    code = (
        "import sys, model.artifact, model.container, model.errors, model.signature\n"
        "found = {'catboost', 'pandas', 'httpx', 'google.auth'} & set(sys.modules)\n"
        "assert not found, found\n"
        "import model.bucket\n"
        "assert 'httpx' in sys.modules and 'google.auth' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": "."})  # noqa: S603  # our own words
