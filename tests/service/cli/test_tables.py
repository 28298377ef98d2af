"""A table gives all rows of a file in batches, as often as it is asked, with the place of each."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import TableError
from service.tables import BATCH_ROWS, open_table

ROWS = BATCH_ROWS + 7


@pytest.fixture(params=["rows.csv", "rows.jsonl", "rows.parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    if path.suffix == ".csv":
        path.write_text("n\n" + "".join(f"{n}\n" for n in range(ROWS)))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(ROWS)))
    else:
        pq.write_table(pa.table({"n": list(range(ROWS))}), path)
    return path


def test_every_walk_gives_every_row(path: Path) -> None:
    table = open_table(path)
    for _ in range(2):
        batches = list(table.batches())
        assert [len(batch.places) for batch in batches] == [BATCH_ROWS, 7]
        assert [int(n) for batch in batches for n in batch.columns["n"]] == list(range(ROWS))
        first = 2 if path.suffix == ".csv" else 1  # the header is line 1
        assert [place for batch in batches for place in batch.places] == list(range(first, first + ROWS))
        assert 0 < batches[0].share <= batches[1].share == 1


def test_a_walk_may_be_left_early(path: Path) -> None:
    walk = open_table(path).batches()
    next(walk)
    walk.close()


def test_a_file_that_vanishes_between_walks(path: Path) -> None:
    table = open_table(path)
    path.unlink()
    with pytest.raises(TableError, match=path.name):
        list(table.batches())


def test_a_json_line_may_lack_a_column_of_another(tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_text('{"a": 1}\n{"b": 2}\n')
    (batch,) = open_table(path).batches()
    assert batch.columns == {"a": [1, None], "b": [None, 2]}


def test_a_parquet_time_beyond_what_a_date_can_be(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"t": pa.array([2**62], pa.timestamp("us"))}), path)
    with pytest.raises(TableError, match="outside the years 1 to 9999"):
        list(open_table(path).batches())
