"""A job starts without pandas."""

import subprocess
import sys

_SCRIPT = """
import sys
from service.offline.arrow import forget_pandas
forget_pandas()
import numpy as np, pyarrow as pa
texts = pa.array(["a", "b", "a"]).dictionary_encode()
assert texts.indices.to_numpy(zero_copy_only=False).tolist() == [0, 1, 0]
assert pa.table({"x": np.array([1.5, 2.5, 3.5]), "y": texts}).to_pylist()[0] == {"x": 1.5, "y": "a"}
assert "pandas" not in sys.modules
import pandas
"""


def test_arrow_works_without_pandas_and_whoever_wants_it_still_gets_it() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], check=False, capture_output=True, text=True)  # noqa: S603  # our own
    assert (done.returncode, done.stderr) == (0, "")
