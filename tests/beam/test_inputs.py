"""Files hold the instances that the wire would; a row that is none is told with its place."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from pyarrow import parquet

from features.spec import Spec
from features.spec_parsing import parse_serving_yaml
from features.transforms import BUILT_IN
from model.beam.dead_letters import Unreadable
from model.beam.inputs import InputFormat, InputUnclear, ReadInstances, as_json, format_of
from model.beam.outputs import WriteJson, WriteTable

Read = Callable[..., list[Any]]


@pytest.fixture
def spec() -> Spec:
    text = (
        'name: x\nversion: "1"\nentities: {c: {keys: [{name: id}]}}\nviews: {v: {entity: c}}\n'
        "request: {amount: {}, count: {dtype: int}, new: {dtype: bool}, note: {dtype: string}}\n"
        "features: [{name: a, from: v.a}]\n"
    )
    return parse_serving_yaml(text.encode(), "serving.yaml", BUILT_IN).spec


@pytest.fixture
def read(spec: Spec, tmp_path: Path, direct: list[str], written: Callable[..., list[Any]]) -> Read:
    """`read(address)`: the elements of an input, each as a JSON line; an unreadable row as what is there, and why."""

    def run(address: str | Path, input_format: InputFormat | None = None) -> list[Any]:
        with beam.Pipeline(options=PipelineOptions(direct)) as pipeline:
            rows = pipeline | ReadInstances(str(address), spec, input_format)
            told = rows | beam.Map(lambda one: {"unreadable": one.why} if isinstance(one, Unreadable) else {"row": one})
            told | WriteJson(str(tmp_path / "read"))  # type: ignore[unused-ignore]
        return [one.get("row", one.get("unreadable")) for one in written(tmp_path, "read-")]

    return run


@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_what_json_makes_of_them(read: Read, tmp_path: Path, packed: bool) -> None:  # noqa: FBT001  # a case
    text = b'\xef\xbb\xbf{"id": "007"}\n\n["C1", 1.5]\r\n"bare"\n{"id": \n1001\n'
    path = tmp_path / ("in.jsonl.gz" if packed else "in.jsonl")
    path.write_bytes(gzip.compress(text) if packed else text)
    found = read(path)
    assert [one for one in found if not isinstance(one, str)] == [{"id": "007"}, ["C1", 1.5], 1001]
    assert [one for one in found if isinstance(one, str) and one != "bare"] == [
        "the line is not JSON in UTF-8: unexpected end of data at byte 7"
    ]


def test_cells_are_text_but_for_the_numbers_and_bools_that_the_spec_declares(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes('\ufeffid,amount,count,new,note\r\n007,1.50,3,true,"a\r\nb"\r\n7,,3.0,1,\r\n'.encode())
    assert read(path) == [
        {"id": "007", "amount": 1.5, "count": 3, "new": True, "note": "a\r\nb"},
        {"id": "7", "amount": None, "count": 3, "new": True, "note": ""},
    ]


def test_a_ragged_row_and_a_cell_that_spells_nothing_are_told_with_file_and_line(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,amount\nC1\nC2,much\nC3,3\n")
    assert read(path) == [
        f"{path}: line 2: holds 1 cells, the header 2",
        f"{path}: line 3: column 'amount' holds 'much', which is not a number",
        {"id": "C3", "amount": 3.0},
    ]


def test_a_quote_that_is_never_closed_is_told_and_the_rows_before_it_are_kept(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('id,amount\nC1,1\n"C2,2\nC3,3\n')
    kept, told = read(path)
    assert kept == {"id": "C1", "amount": 1.0}
    assert "is not CSV from here on (unexpected end of data); later rows of the file are not read" in told


def test_a_column_that_is_there_twice_makes_the_file_unreadable(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,id\nC1,C2\n")
    assert read(path) == [f"{path}: two columns are called 'id'; give each a name of its own"]


def test_rows_of_parquet_are_objects(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    parquet.write_table(pa.table({"id": ["007", None], "amount": [1.5, 2.0], "count": [1, None]}), path)
    assert read(path) == [
        {"id": "007", "amount": 1.5, "count": 1},
        {"id": None, "amount": 2.0, "count": None},
    ]


def test_several_files_are_one_input(read: Read, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"in-{name}.csv").write_text(f"id\n{name}\n")
    assert sorted(one["id"] for one in read(tmp_path / "in-*.csv")) == ["a", "b"]


def test_a_name_that_tells_no_format_is_refused(spec: Spec) -> None:
    with pytest.raises(InputUnclear, match="say --format jsonl, csv or parquet"):
        ReadInstances("gs://bucket/rows", spec)
    assert format_of("gs://bucket/rows-*.CSV.gz") is InputFormat.CSV


def test_values_of_bigquery_become_what_json_would_hold() -> None:
    from datetime import UTC, datetime  # noqa: PLC0415
    from decimal import Decimal  # noqa: PLC0415

    row = {"n": Decimal("1.5"), "at": datetime(2026, 1, 1, tzinfo=UTC), "many": [Decimal(1)], "text": "007", "no": None}
    assert json.loads(json.dumps(as_json(row))) == {
        "n": 1.5,
        "at": "2026-01-01T00:00:00+00:00",
        "many": [1.0],
        "text": "007",
        "no": None,
    }


@pytest.mark.parametrize("address", ["bigquery:my-project.bank.rows", "bigquery:SELECT id, amount FROM `bank.rows`"])
def test_bigquery_pipelines_can_be_made_without_asking_anybody(spec: Spec, address: str) -> None:
    options = PipelineOptions(["--project=my-project", "--temp_location=gs://bucket/tmp", "--region=europe-west1"])
    pipeline = beam.Pipeline(options=options)
    rows = pipeline | ReadInstances(address, spec)
    rows | WriteTable("my-project.bank.scores", ("instance", "prediction"))  # type: ignore[unused-ignore]
    made = pipeline.to_runner_api()
    urns = {one.unique_name for one in made.components.transforms.values()}
    assert any("Read table" in name for name in urns)
    assert any("BigQueryBatchFileLoads" in name for name in urns)
