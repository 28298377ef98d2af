"""Files hold the instances that the wire would; a row that is none is told with its place."""

import gzip
import json
import math
import zlib
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from pyarrow import parquet

from features.errors import InstanceInvalid
from features.instances import InstanceParser
from features.spec import Spec
from features.spec_parsing import parse_serving_yaml
from features.transforms import BUILT_IN
from model.beam.dead_letters import Unreadable
from model.beam.files import Stretch, lines_within, opened, stretches
from model.beam.inputs import InputFormat, InputUnclear, ReadInstances, as_json, format_of
from model.beam.outputs import WriteJson, WriteTable, as_line, as_texts

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
        f"{path}: the line at byte 38 is not JSON in UTF-8: unexpected end of data at its byte 6"
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
        f"{path}: line 2: has 1 cells, the header has 2",
        f"{path}: line 3: column 'amount' holds 'much', which is not a number",
        {"id": "C3", "amount": 3.0},
    ]


def test_a_quote_that_is_never_closed_is_told_and_the_rows_before_it_are_kept(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('id,amount\nC1,1\n"C2,2\nC3,3\n')
    kept, told = read(path)
    assert kept == {"id": "C1", "amount": 1.0}
    assert told == (
        f"{path}: line 3: the file ends inside a quoted cell; it is cut short, or a quote is never closed; "
        "later rows of the file are not read"
    )


def test_a_record_that_is_none_costs_no_other_its_score(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b'id,amount\nC1,1\n"C2"x,2\nC\xff,3\n\n"C\n4",4\nC5,5,5\nC6,6\n')
    assert read(path) == [
        {"id": "C1", "amount": 1.0},
        f"{path}: line 3: is not CSV (',' expected after '\"')",
        f"{path}: line 4: is not UTF-8 text; save the file as UTF-8",
        {"id": "C\n4", "amount": 4.0},
        f"{path}: line 8: has 3 cells, the header has 2",
        {"id": "C6", "amount": 6.0},
    ]


def test_a_header_that_is_no_text_or_none_makes_the_file_unreadable(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,\xff\nC1,1\n")
    (tmp_path / "b.csv").write_bytes(b"\nC1,1\nC2,2\n")
    (tmp_path / "empty.csv").write_bytes(b"")
    assert sorted(read(tmp_path / "*.csv")) == [
        f"{tmp_path}/a.csv: line 1: is not UTF-8 text; save the file as UTF-8; later rows of the file are not read",
        f"{tmp_path}/b.csv: the first line must hold the columns' names",
    ]


CUT = "the gzip file is cut short or damaged (Compressed file ended before the end-of-stream marker was reached)"


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [("in.csv.gz", b"id\nC1\nC2345", "line 2"), ("in.jsonl.gz", b'{"id": "C1"}\n1001', "byte 13")],
)
def test_a_gzip_file_that_is_cut_short_is_told_and_its_last_row_is_not_taken_for_whole(
    read: Read, tmp_path: Path, name: str, text: bytes, place: str
) -> None:
    pack = zlib.compressobj(wbits=31)
    packed = pack.compress(text) + pack.flush(zlib.Z_SYNC_FLUSH)  # all that was written so far, and no end
    (tmp_path / name).write_bytes(packed)
    assert read(tmp_path / name) == [
        {"id": "C1"},
        f"{tmp_path / name}: behind {place} {CUT}; what follows in it is not read, copy it again",
    ]
    (tmp_path / name).write_bytes(gzip.compress(text)[:-8] + bytes(8))  # another checksum
    assert "is cut short or damaged (CRC check failed" in read(tmp_path / name)[-1]


def test_a_file_that_a_bucket_has_unzipped_on_the_way_is_read_as_it_comes(read: Read, tmp_path: Path) -> None:
    (tmp_path / "in.csv.gz").write_bytes(b"id\nC1\n")
    assert read(tmp_path / "in.csv.gz") == [{"id": "C1"}]


def test_every_line_is_read_once_however_its_file_is_cut(tmp_path: Path) -> None:
    lines = [b"1\n", b"\n", b'"two"\r\n', b"333333333333\n", b"\n", b"4"]
    (tmp_path / "in.jsonl").write_bytes(b"".join(lines))
    file = SimpleNamespace(path=str(tmp_path / "in.jsonl"), size_in_bytes=len(b"".join(lines)))
    for stretch_bytes in range(1, 30):
        found: list[tuple[int, bytes]] = []
        for stretch in stretches(file, whole=False, stretch_bytes=stretch_bytes):
            with opened(stretch.path) as binary:
                found += lines_within(binary, stretch)
        assert [line for _, line in found] == lines
        assert [at for at, _ in found] == [len(b"".join(lines[:at])) for at in range(len(lines))]


def test_what_cannot_be_cut_is_one_stretch_and_a_folder_is_none() -> None:
    packed = SimpleNamespace(path="gs://bucket/in.jsonl.GZ", size_in_bytes=100)
    assert list(stretches(packed, whole=False, stretch_bytes=10)) == [Stretch(packed.path)]
    assert list(stretches(SimpleNamespace(path="gs://bucket/a/", size_in_bytes=0), whole=True, stretch_bytes=10)) == []


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
    row = {
        "n": Decimal("1.5"),
        "many": [Decimal(1), math.nan],
        "text": "007",
        "no": None,
        "unknown": Decimal("NaN"),
        "bytes": b"C\xc3\xa9",
        "raw": {"one": b"\xff"},
    }
    assert as_json(row) == {
        "n": 1.5,
        "many": [1.0, None],
        "text": "007",
        "no": None,
        "unknown": None,
        "bytes": "C\u00e9",
        "raw": {"one": {"b64": "/w=="}},
    }


@pytest.mark.parametrize("value", [datetime(2026, 1, 31, 12, tzinfo=UTC), date(2026, 1, 31), time(12, 30)])
def test_a_moment_is_neither_a_key_nor_a_text_and_is_told_as_rfc_3339_spells_it(spec: Spec, value: Any) -> None:
    row = {"id": "C1", "amount": 1.5, "count": 3, "new": True, "note": "x"}
    for name in ("id", "note"):
        with pytest.raises(InstanceInvalid) as caught:
            InstanceParser(spec).instance(as_json({**row, name: value}))
        assert caught.value.field == name
    assert json.loads(as_line({"instance": as_json({"at": value})})) == {"instance": {"at": value.isoformat()}}
    assert as_texts({"instance": as_json({"at": value})}) == {"instance": json.dumps({"at": value.isoformat()})}


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
