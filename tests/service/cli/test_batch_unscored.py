"""A row that the model gives no finite score is treated as any other that cannot be scored."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

WHY = "the model gave a score that is not a finite number"


@pytest.fixture
def batch(keyscore: Callable, tmp_path: Path, overflowing: Callable, write_bundle: Callable) -> Callable[..., Any]:
    """`batch(target, *flags)`: scores E0 to E63, of which the model gives E17 no finite score, and a stranger."""
    rows = [f"E{at},{95 if at == 17 else at},{at}" for at in range(64)]
    (tmp_path / "rows.csv").write_text("\n".join(["id,a,b", *rows]) + "\n")
    assert keyscore("load", "v", "rows.csv", "--key", "id").code == 0
    (tmp_path / "in.csv").write_text("\n".join(["id", *(f"E{at}" for at in range(64)), "nobody"]) + "\n")
    flags = ("--bundle", write_bundle(overflowing(("a", "b"))), "--view", "v")
    return lambda target, *more: keyscore("batch", "in.csv", target, *flags, *more)


def scores_in(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return [row["score"] for row in csv.DictReader(file)]


def test_with_fail_the_job_ends_and_names_the_line(batch: Callable, tmp_path: Path) -> None:
    outcome = batch("out.csv")
    assert outcome.code == 1
    assert f"in.csv: line 19: {WHY} (--on-error null or skip goes on behind such rows)" in " ".join(outcome.err.split())
    assert not (tmp_path / "out.csv").exists()


def test_the_job_that_it_ended_is_resumed_past_it(batch: Callable, tmp_path: Path) -> None:
    assert batch("out.csv").code == 1
    assert batch("out.csv", "--resume", "--on-error", "skip").code == 3
    assert len(scores_in(tmp_path / "out.csv")) == 63


def test_with_null_it_alone_has_no_score_and_the_error_file_says_why(batch: Callable, tmp_path: Path) -> None:
    outcome = batch("out.csv", "--on-error", "null")
    assert outcome.code == 3, outcome.err
    scores = scores_in(tmp_path / "out.csv")
    assert [at for at, score in enumerate(scores) if not score] == [17, 64]
    told = [orjson.loads(line) for line in (tmp_path / "out.csv.errors.jsonl").read_bytes().splitlines()]
    assert [one["line"] for one in told] == [19, 66]
    assert told[0]["instance"] == {"id": "E17"}
    assert told[0]["error"]["type"] == "urn:keyscore:problem:score-not-finite"
    assert (told[0]["error"]["detail"], told[0]["error"]["index"]) == (WHY, 17)
    summary = {line.split()[0]: line.split()[1] for line in outcome.out.splitlines() if line.strip()}
    assert (summary["rows"], summary["failed"]) == ("65", "2")


def test_with_skip_it_is_left_out(batch: Callable, tmp_path: Path) -> None:
    assert batch("null.csv", "--on-error", "null").code == 3
    assert batch("out.csv", "--on-error", "skip").code == 3
    assert scores_in(tmp_path / "out.csv") == [score for score in scores_in(tmp_path / "null.csv") if score]


def test_in_every_other_form_of_output_it_is_without_a_prediction(batch: Callable, tmp_path: Path) -> None:
    assert batch("null.csv", "--on-error", "null").code == 3
    expected = [float(score) if score else None for score in scores_in(tmp_path / "null.csv")]
    assert batch("out.parquet", "--on-error", "null", "--detailed").code == 3
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("score").to_pylist() == expected
    assert table.column("a_value").to_pylist()[16:18] == [16.0, None]
    assert batch("out.jsonl", "--on-error", "null").code == 3
    lines = [orjson.loads(line)["prediction"] for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert lines == [None if one is None else [one] for one in expected]
