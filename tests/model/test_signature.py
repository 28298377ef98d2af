"""What a row of scores amounts to, and what a loss means."""

import numpy as np
import pytest

from model.signature import PredictionType, Signature, Task, prediction_type_of, task_of


def signature(task: Task, n_outputs: int, threshold: float | None = None) -> Signature:
    return Signature(
        features=("a",),
        categorical=(),
        numeric=(0,),
        task=task,
        classes=None if task is Task.REGRESSION else tuple("abc"[:n_outputs]),
        n_outputs=n_outputs,
        prediction_type=PredictionType.PROBABILITY,
        threshold=threshold,
    )


@pytest.mark.parametrize(("yes", "expected"), [(0.79, 0), (0.8, 0), (0.81, 1)])
def test_a_binary_model_says_yes_above_its_threshold_only(yes: float, expected: int) -> None:
    assert signature(Task.CLASSIFICATION, 2, 0.8).predicted_class([1 - yes, yes]) == expected


@pytest.mark.parametrize(("scores", "expected"), [([0.2, 0.5, 0.3], 1), ([0.4, 0.2, 0.4], 0), ([0.1, 0.1, 0.8], 2)])
def test_of_several_classes_the_likeliest_wins_and_of_equals_the_first(scores: list[float], expected: int) -> None:
    assert signature(Task.CLASSIFICATION, 3).predicted_class(scores) == expected


@pytest.mark.parametrize("one", [signature(Task.CLASSIFICATION, 2, 0.8), signature(Task.CLASSIFICATION, 3)])
def test_the_classes_of_many_rows_are_those_of_each(one: Signature) -> None:
    rows = np.random.default_rng(1).integers(0, 11, (500, one.n_outputs)) / 10  # with equals, and at the threshold
    assert one.predicted_classes(rows).tolist() == [one.predicted_class(row) for row in rows.tolist()]


@pytest.mark.parametrize("task", [Task.REGRESSION, Task.MULTILABEL])
def test_without_exclusive_classes_there_is_no_predicted_class(task: Task) -> None:
    assert signature(task, 2).predicted_class([0.1, 0.9]) is None


def test_class_labels_decide_where_the_loss_says_nothing() -> None:
    assert task_of(None, has_classes=True) is Task.CLASSIFICATION
    assert task_of("PythonUserDefinedPerObject", has_classes=True) is Task.CLASSIFICATION
    assert task_of(None, has_classes=False) is Task.REGRESSION
    assert prediction_type_of(Task.REGRESSION, None) is PredictionType.RAW
