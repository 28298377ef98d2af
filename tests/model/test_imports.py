"""CatBoost is imported without pandas where nobody else has imported it, and scores all the same."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.imports import without_pandas

SCORE = """
import sys
import numpy as np
from model.scorer import CatBoostScorer
assert not any(name.partition(".")[0] in ("pandas", "pyarrow") for name in sys.modules)
scorer = CatBoostScorer.from_bytes(open(sys.argv[1], "rb").read())
columns = len(scorer.signature.numeric), len(scorer.signature.categorical)
for rows in (1, 3):
    scores = scorer.score(np.ones((rows, columns[0]), np.float32), np.full((rows, columns[1]), "a", object))
    print(*scores[:, -1])
assert not any(name.partition(".")[0] in ("pandas", "pyarrow") for name in sys.modules)
import pandas
assert pandas.DataFrame({"a": [1]}).shape == (1, 1)
"""


@pytest.mark.parametrize("categories", [(), ("b",), ("a", "b")])
def test_every_kind_of_model_scores_alike_with_and_without_pandas(
    train: Any, tmp_path: Path, categories: tuple[str, ...]
) -> None:
    """This process has imported pandas long ago; a fresh one has not, and may still do so later."""
    from model.scorer import CatBoostScorer  # noqa: PLC0415  # after pandas

    assert "pandas" in sys.modules
    blob = train(("a", "b", "c"), categories)
    (tmp_path / "model.cbm").write_bytes(blob)
    command = [sys.executable, "-c", SCORE, str(tmp_path / "model.cbm")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # our own words
    scorer = CatBoostScorer.from_bytes(blob)
    numeric = np.ones((1, 3 - len(categories)), np.float32)
    expected = scorer.score(numeric, np.full((1, len(categories)), "a", object))[0, -1]
    assert set(done.stdout.split()) == {str(expected)}


def test_pandas_that_has_been_imported_stays() -> None:
    imported = sys.modules["pandas"]
    with without_pandas():
        assert sys.modules["pandas"] is imported
