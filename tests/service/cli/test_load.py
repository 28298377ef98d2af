"""`keyscore load` puts a file's rows into the store: all formats, keys, event times, what it says."""

import gzip
import json
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.stores.sqlite_writer import SqliteWriter
from features.values import DType

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str], Path]:
    """`file("rows.csv", text)`: a file in the command's folder."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return write


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[str], tuple[Mapping[str, DType], dict[str, Any], dict[str, Any]]]:
    """`loaded(view)`: its columns, its values by the key as it is stored, and its event times likewise."""
    path = tmp_path / "var" / "features.sqlite"

    def read(view: str) -> tuple[Mapping[str, DType], dict[str, Any], dict[str, Any]]:
        connection = sqlite3.connect(path)
        rows = {
            key: json.loads(row) for key, row in connection.execute("SELECT key, row FROM rows WHERE view = ?", (view,))
        }
        connection.close()
        with SqliteWriter(path) as writer:
            columns = writer.views()[view].columns
        values = {key: row["values"] for key, row in rows.items()}
        return columns, values, {key: row["event_time"] for key, row in rows.items()}

    return read


def test_a_csv_file_with_types_found_out(keyscore: Callable, file: Callable, loaded: Callable) -> None:
    file("rows.csv", "id,balance,visits,vip,zip,none\n007,1.50,3,true,01234,\n8,,-4,false,53111,\n")
    outcome = keyscore("load", "account", "rows.csv", "--key", "id")
    assert outcome.code == 0
    columns, values, moments = loaded("account")
    assert columns == {"balance": "float", "visits": "int", "vip": "bool", "zip": "string", "none": "float"}
    assert values == {
        "007": {"balance": 1.5, "visits": 3, "vip": True, "zip": "01234", "none": None},
        "8": {"balance": None, "visits": -4, "vip": False, "zip": "53111", "none": None},
    }
    assert moments == {"007": None, "8": None}


def test_what_was_found_and_what_comes_next_is_said(keyscore: Callable, file: Callable) -> None:
    file("rows.csv", "id,seen,a,b\n1,,,x\n2,,,\n")
    outcome = keyscore("load", "my_view", "rows.csv", "--key", "id", "--event-time", "seen", "--dtype", "b=string")
    lines = outcome.out.splitlines()
    assert [line.split() for line in lines[2:4]] == [["id", "key"], ["seen", "event", "time"]]
    assert lines[4].split() == ["a", "float", "(no", "value)", "2"]
    assert lines[5].split() == ["b", "string", "(given)", "1"]
    assert lines[7].startswith("my_view in var/features.sqlite holds 2 rows (")
    assert lines[8] == "Next: keyscore check --bundle MODEL_DIRECTORY --view my_view"
    again = keyscore("load", "my_view", "rows.csv", "--key", "id").out
    assert "holds 2 rows in place of 2 (" in again


def test_where_there_is_no_terminal_nothing_controls_one(keyscore: Callable, file: Callable) -> None:
    file("rows.csv", "id,a\n1,2\n")
    outcome = keyscore("load", "v", "rows.csv", "--key", "id")
    assert not any(character in outcome.out + outcome.err for character in "\x1b\r\b")


def test_a_key_of_two_columns(keyscore: Callable, file: Callable, loaded: Callable) -> None:
    file("rows.csv", "merchant,score,customer\nM1,1,C1\nM1,2,C2\n")
    assert keyscore("load", "pair", "rows.csv", "--key", "customer", "--key", "merchant").code == 0
    assert loaded("pair")[1] == {'["C1","M1"]': {"score": 1}, '["C2","M1"]': {"score": 2}}


def test_the_bundle_knows_the_keys(keyscore: Callable, file: Callable, loaded: Callable, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "serving.yaml").write_text(
        "entities: {customer: {keys: [{name: id, dtype: int64}]}}\nviews: {account: {entity: customer}}\n"
    )
    file("rows.csv", "id,a\n7,1\n")
    outcome = keyscore("load", "account", "rows.csv", "--bundle", bundle)
    assert outcome.code == 0
    assert "key: id, as the bundle says" in outcome.err
    assert f"Next: keyscore check --bundle {bundle}" in outcome.out
    assert loaded("account")[1] == {"7": {"a": 1}}
    file("rows.csv", "id,a\n007,1\n")
    refused = keyscore("load", "account", "rows.csv", "--bundle", bundle)
    assert "rows.csv: line 2: the key 'id' must be a 64-bit integer" in refused.err


def test_types_may_be_given(keyscore: Callable, file: Callable, loaded: Callable) -> None:
    file("rows.csv", "id,a,b,c,d\n1,1,007,1,3.0\n2,,8,0,\n")
    given = [word for one in ("a=string", "b=int", "c=bool", "d=int") for word in ("--dtype", one)]
    assert keyscore("load", "v", "rows.csv", "--key", "id", *given).code == 0
    assert loaded("v")[1] == {
        "1": {"a": "1", "b": 7, "c": True, "d": 3},
        "2": {"a": None, "b": 8, "c": False, "d": None},
    }


def test_a_column_may_be_left_out(keyscore: Callable, file: Callable, loaded: Callable) -> None:
    file("rows.csv", ",id,a\n0,1,2\n")
    assert keyscore("load", "v", "rows.csv", "--key", "id", "--skip", "").code == 0
    assert loaded("v")[1] == {"1": {"a": 2}}


@pytest.mark.parametrize("cell", ["2026-01-31T12:00:00Z", "2026-01-31 13:00:00+01:00", "1769860800", "1769860800.0"])
def test_event_times_of_text(keyscore: Callable, file: Callable, loaded: Callable, cell: str) -> None:
    file("rows.csv", f"id,seen,a\n1,{cell},2\n2,,3\n")
    assert keyscore("load", "v", "rows.csv", "--key", "id", "--event-time", "seen").code == 0
    assert loaded("v")[2] == {"1": 1769860800.0, "2": None}
    assert loaded("v")[1]["1"] == {"a": 2}


def test_of_keys_that_come_again_the_last_may_win(keyscore: Callable, file: Callable, loaded: Callable) -> None:
    file("rows.csv", "id,a\n1,2\n2,3\n1,4\n")
    outcome = keyscore("load", "v", "rows.csv", "--key", "id", "--duplicates", "last")
    assert "holds 2 rows; 1 gave way to later ones with the same key" in outcome.out
    assert loaded("v")[1] == {"1": {"a": 4}, "2": {"a": 3}}


def test_a_bom_windows_line_ends_quotes_blank_lines_and_gzip(
    keyscore: Callable, tmp_path: Path, loaded: Callable
) -> None:
    text = '\ufeffid,"a, b"\r\n1,"x\r\ny ""z"""\r\n\r\n2,ü\r\n'
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert keyscore("load", "v", "rows.csv.gz", "--key", "id").code == 0
    assert loaded("v")[1] == {"1": {"a, b": 'x\r\ny "z"'}, "2": {"a, b": "ü"}}


def test_json_lines_keep_their_types(keyscore: Callable, file: Callable, loaded: Callable) -> None:
    file(
        "rows.jsonl",
        '\ufeff{"id": 7, "f": 1, "i": 9007199254740993, "b": true, "s": "007"}\n\n'
        '{"id": "007", "f": 0.5, "new": "x"}\n{"id": 8.0, "f": NaN, "i": null}\n',
    )
    assert keyscore("load", "v", "rows.jsonl", "--key", "id").code == 0
    columns, values, _ = loaded("v")
    assert columns == {"f": "float", "i": "int", "b": "bool", "s": "string", "new": "string"}
    none = dict.fromkeys(columns)
    assert values == {
        "7": {**none, "f": 1.0, "i": 9007199254740993, "b": True, "s": "007"},
        "007": {**none, "f": 0.5, "new": "x"},
        "8": none,
    }


def test_parquet_keeps_its_types(keyscore: Callable, tmp_path: Path, loaded: Callable) -> None:
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int32()),
            "seen": pa.array([MOMENT, None], pa.timestamp("ns", tz="Europe/Berlin")),
            "f": pa.array([0.1, float("nan")], pa.float32()),
            "half": pa.array([0.5, None], pa.float16()),
            "u": pa.array([1, 2**63 - 1], pa.uint64()),
            "price": pa.array([Decimal("1.25"), None], pa.decimal128(9, 2)),
            "b": [True, None],
            "s": pa.array(["a", "a"]).dictionary_encode(),
            "none": pa.nulls(2),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    assert keyscore("load", "v", "rows.parquet", "--key", "id", "--event-time", "seen").code == 0
    columns, values, moments = loaded("v")
    assert columns == {
        "f": "float", "half": "float", "u": "int", "price": "float", "b": "bool", "s": "string", "none": "float"
    }  # fmt: skip
    assert values["1"] == {
        "f": 0.10000000149011612, "half": 0.5, "u": 1, "price": 1.25, "b": True, "s": "a", "none": None
    }  # fmt: skip
    assert values["2"] == {**dict.fromkeys(columns), "u": 2**63 - 1, "s": "a"}
    assert moments == {"1": MOMENT.timestamp(), "2": None}


def test_a_naive_parquet_timestamp_is_utc(keyscore: Callable, tmp_path: Path, loaded: Callable) -> None:
    table = pa.table({"id": ["1"], "seen": pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("us")), "a": [1]})
    pq.write_table(table, tmp_path / "rows.parquet")
    assert keyscore("load", "v", "rows.parquet", "--key", "id", "--event-time", "seen").code == 0
    assert loaded("v")[2] == {"1": MOMENT.timestamp()}


def test_integers_among_nulls_that_a_columnar_file_made_floats(
    keyscore: Callable, tmp_path: Path, loaded: Callable
) -> None:
    pq.write_table(pa.table({"id": [1.0, 2.0], "n": [3.0, None]}), tmp_path / "rows.parquet")
    assert keyscore("load", "v", "rows.parquet", "--key", "id", "--dtype", "n=int").code == 0
    assert loaded("v")[1] == {"1": {"n": 3}, "2": {"n": None}}


def test_many_row_groups_and_batches(keyscore: Callable, tmp_path: Path, loaded: Callable) -> None:
    rows = 12_345
    table = pa.table({"id": list(map(str, range(rows))), "n": list(range(rows))})
    pq.write_table(table, tmp_path / "rows.pq", row_group_size=1_000)
    assert keyscore("load", "v", "rows.pq", "--key", "id").code == 0
    _, values, _ = loaded("v")
    assert len(values) == rows
    assert all(value == {"n": int(key)} for key, value in values.items())


def test_other_views_stay(keyscore: Callable, file: Callable, store: Path, rows_of: Callable) -> None:
    file("rows.csv", "id,a\n1,2\n")
    assert keyscore("load", "v", "rows.csv", "--key", "id").code == 0
    assert rows_of(store, "pair", [("C1", "M1")]) == [{"score": 0.5}]


def test_the_format_may_be_said(keyscore: Callable, file: Callable, loaded: Callable) -> None:
    file("export", '{"id": "1", "a": 2}\n')
    assert keyscore("load", "v", "export", "--key", "id", "--format", "jsonl").code == 0
    assert loaded("v")[1] == {"1": {"a": 2}}


def test_a_date_is_no_value_but_may_be_left_out(keyscore: Callable, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["1"], "born": [date(2000, 1, 1)], "a": [1]}), tmp_path / "rows.parquet")
    refused = keyscore("load", "v", "rows.parquet", "--key", "id")
    assert "rows.parquet: row 1: column 'born' holds dates" in refused.err
    assert "`--skip born` leaves the column out" in refused.err
    assert keyscore("load", "v", "rows.parquet", "--key", "id", "--skip", "born").code == 0
