"""`keyscore load` names file and row of what it refuses, and leaves the store as it was."""

import gzip
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

KEY = ("--key", "id")


@pytest.fixture
def refused(keyscore: Callable, tmp_path: Path, store: Path, rows_of: Callable) -> Callable[..., str]:
    """`refused(name, content, *flags)`: what is said of a file; proves that nothing was written."""

    def load(name: str, content: bytes | str, *flags: str, view: str = "account") -> str:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        before = rows_of(store, "account", ["C1"])
        outcome = keyscore("load", view, name, *flags)
        assert outcome.code == 1
        assert outcome.err.startswith("error: ")
        assert outcome.err.count("\n") == 1
        assert rows_of(store, "account", ["C1"]) == before
        return outcome.err.removeprefix("error: ").rstrip("\n")

    return load


CSV = {
    "empty": ("", "rows.csv is empty"),
    "header only": ("id,a\n", "rows.csv holds no rows"),
    "no header": ("\n1,2\n", "rows.csv: the first line must hold the columns' names"),
    "too few cells": ("id,a\n1,2\n3\n", "rows.csv: line 3: has 1 cells, the header has 2"),
    "too many cells": ("id,a\n1,2,3\n", "rows.csv: line 2: has 3 cells, the header has 2"),
    "after a line break in a cell": ('id,a\n1,"x\ny"\n3\n', "rows.csv: line 4: has 1 cells"),
    "same name twice": ("id,a,a\n1,2,3\n", "two columns are called 'a'"),
    "no name": (",id,a\n0,1,2\n", "column 1 has no name (pandas writes its index so"),
    "strange name": ("id,a\u00a0\n1,2\n", "holds characters that cannot be printed"),
    "no key column": ("ids,a\n1,2\n", "rows.csv has no column 'id'; its columns are ids, a; did you mean 'ids'?"),
    "semicolons": ("id;a\n1;2\n", "it seems to be separated by semicolons: write it with commas"),
    "only the key": ("id\n1\n", "rows.csv holds no column to store; its columns are id"),
    "empty key": ("id,a\n1,2\n,3\n", "rows.csv: line 3: the key 'id' must not be empty"),
    "key again": (
        "id,a\n1,2\n2,3\n1,4\n",
        "rows.csv: line 4: the key '1' was in line 2 already; remove one of them, or keep the later with",
    ),
    "open quote": ('id,a\n1,"2\n', "the file ends inside a quoted cell; it is cut short, or a quote is never closed"),
    "endless quote": ('id,a\n1,"2\n' + "3,4\n" * 40_000, "most likely a quote is never closed"),
    "stray quote": ('id,a\n1,"2"3\n', "rows.csv: line 2: is not CSV"),
    "infinite": ("id,a\n1,2.5\n2,inf\n", "rows.csv: line 3: column 'a' holds inf; the model needs finite numbers"),
    "too large": ("id,a\n1,2.5\n2,-4e+38\n", "rows.csv: line 3: column 'a' holds -4e+38"),
    "larger than float64": ("id,a\n1,2.5\n2,1.0e400\n", "rows.csv: line 3: column 'a' holds inf"),
}


@pytest.mark.parametrize(("content", "said"), CSV.values(), ids=CSV.keys())
def test_csv(refused: Callable, content: str, said: str) -> None:
    assert said in refused("rows.csv", content, *KEY)


def test_text_that_is_not_utf8(refused: Callable) -> None:
    content = b"id,a\n1,x\n2,M\xfcnchen\n"
    assert refused("rows.csv", content, *KEY) == "rows.csv: line 3: is not UTF-8 text; save the file as UTF-8"
    content = b'{"id": 1, "a": "x"}\n{"id": 2, "a": "M\xfcnchen"}\n'
    assert refused("rows.jsonl", content, *KEY) == "rows.jsonl: line 2: is not UTF-8 text; save the file as UTF-8"


GIVEN = {
    "not an integer": ("id,a\n1,2\n2,2.5\n", "a=int", "rows.csv: line 3: column 'a' holds '2.5', which is not an int"),
    "beyond int64": (
        "id,a\n1,9223372036854775808\n",
        "a=int",
        "line 2: column 'a' holds 9223372036854775808, which is",
    ),
    "far beyond": ("id,a\n1," + "9" * 5000 + "\n", "a=int", "is beyond 64-bit integers"),
    "not a number": ("id,a\n1,x\n", "a=float", "line 2: column 'a' holds 'x', which is not a number"),
    "not a bool": ("id,a\n1,yes\n", "a=bool", "line 2: column 'a' holds 'yes', which is not true or false"),
    "no such column": ("id,a\n1,2\n", "b=int", "rows.csv has no column 'b'"),
    "the key": ("id,a\n1,2\n", "id=int", "--dtype id: the column is the key or the event time"),
}


@pytest.mark.parametrize(("content", "dtype", "said"), GIVEN.values(), ids=GIVEN.keys())
def test_types_that_were_given(refused: Callable, content: str, dtype: str, said: str) -> None:
    assert said in refused("rows.csv", content, *KEY, "--dtype", dtype)


JSONL = {
    "not JSON": ('{"id": 1, "a": 2}\n{"id": 1,\n', "rows.jsonl: line 2: is not JSON (Expecting property name"),
    "not an object": ("[1, 2]\n", "rows.jsonl: line 1: must be a JSON object"),
    "nested": ('{"id": 1, "a": 2}\n{"id": 2, "a": {"b": 1}}\n', "line 2: column 'a' holds nested objects"),
    "list": ('{"id": 1, "a": [2]}\n', "line 1: column 'a' holds lists; a store keeps numbers"),
    "mixed": (
        '{"id": 1, "a": 2}\n{"id": 2, "a": "x"}\n',
        "rows.jsonl: column 'a' is int in line 1 and string in line 2; make them alike",
    ),
    "overflow": ('{"id": 1, "a": 9223372036854775808}\n', "line 1: column 'a' holds 9223372036854775808, which is"),
    "infinite": ('{"id": 1, "a": 1.5}\n{"id": 2, "a": -Infinity}\n', "line 2: column 'a' holds -inf; the model"),
    "inexact": (
        '{"id": 1, "a": 1.5}\n{"id": 2, "a": 9007199254740993}\n',
        "line 2: column 'a' holds 9007199254740993, which a float cannot hold exactly",
    ),
    "surrogate": ('{"id": 1, "a": "\\ud800"}\n', "line 1: column 'a' holds text with a lone surrogate"),
    "no key": ('{"id": 1, "a": 2}\n{"a": 3}\n', "rows.jsonl: line 2: the key 'id' must be a string or an integer"),
    "fractional key": ('{"id": 1.5, "a": 2}\n', "line 1: the key 'id' must be a string or an integer"),
    "deep": ("[" * 100_000 + "\n", "rows.jsonl: line 1: is not JSON"),
}


@pytest.mark.parametrize(("content", "said"), JSONL.values(), ids=JSONL.keys())
def test_json_lines(refused: Callable, content: str, said: str) -> None:
    assert said in refused("rows.jsonl", content, *KEY)


MOMENTS = {
    "no zone": ("2026-01-31T12:00:00", "column 'seen' has no time zone; add Z or an offset"),
    "words": ("yesterday", "column 'seen' must be a date and time with its zone"),
    "milliseconds": ("1769860800000", "column 'seen' is too large for Unix seconds; divide milliseconds by 1,000"),
    "a date without dashes": ("20260131", "column 'seen' is too small for Unix seconds"),
}


@pytest.mark.parametrize(("cell", "said"), MOMENTS.values(), ids=MOMENTS.keys())
def test_event_times(refused: Callable, cell: str, said: str) -> None:
    content = f"id,seen,a\n1,1769860800,2\n2,{cell},3\n"
    assert f"rows.csv: line 3: {said}" in refused("rows.csv", content, *KEY, "--event-time", "seen")


def test_an_event_time_that_is_a_bool(refused: Callable) -> None:
    content = '{"id": 1, "seen": true, "a": 1}\n'
    assert "line 1: column 'seen' must be a date" in refused("rows.jsonl", content, *KEY, "--event-time", "seen")


def parquet(tmp_path: Path, **columns: object) -> bytes:
    path = tmp_path / "written.parquet"
    pq.write_table(pa.table(columns), path)
    return path.read_bytes()


def test_parquet_that_is_cut_short_or_something_else(refused: Callable, tmp_path: Path) -> None:
    whole = parquet(tmp_path, id=[str(n) for n in range(1_000)], a=list(range(1_000)))
    assert "rows.parquet: is not a whole Parquet file" in refused("rows.parquet", whole[: len(whole) // 2], *KEY)
    assert "rows.parquet: is not a whole Parquet file" in refused("rows.parquet", "id,a\n1,2\n", *KEY)
    broken = whole[:50] + bytes(200) + whole[250:]
    assert "rows.parquet: is not a whole Parquet file" in refused("rows.parquet", broken, *KEY)


def test_parquet_values_that_no_store_keeps(refused: Callable, tmp_path: Path) -> None:
    for value, word in (([1], "lists"), ({"b": 1}, "nested objects"), (b"x", "bytes")):
        content = parquet(tmp_path, id=["1", "2"], a=[None, value])
        assert f"rows.parquet: row 2: column 'a' holds {word}" in refused("rows.parquet", content, *KEY)
    content = parquet(tmp_path, id=["1", "2"], a=pa.array([1, 2**64 - 1], pa.uint64()))
    assert "rows.parquet: row 2: column 'a' holds 18446744073709551615, which is beyond" in refused(
        "rows.parquet", content, *KEY
    )
    content = parquet(tmp_path, id=["1", None], a=[1, 2])
    assert "rows.parquet: row 2: the key 'id' must be a string" in refused("rows.parquet", content, *KEY)


def test_a_category_is_never_made_of_a_float(refused: Callable, tmp_path: Path) -> None:
    content = parquet(tmp_path, id=["1"], a=[3.0])
    assert "row 1: column 'a' holds 3.0, which is not text" in refused(
        "rows.parquet", content, *KEY, "--dtype", "a=string"
    )


def test_gzip_that_is_cut_short_or_damaged(refused: Callable) -> None:
    whole = gzip.compress(b"id,a\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(20_000)))
    assert "rows.csv.gz: the gzip file is cut short or damaged" in refused("rows.csv.gz", whole[:-2000], *KEY)
    damaged = whole[:-8] + bytes(4) + whole[-4:]  # the checksum
    assert "rows.csv.gz: the gzip file is cut short or damaged" in refused("rows.csv.gz", damaged, *KEY)


def test_a_file_that_is_not_there_or_of_unknown_format(keyscore: Callable, tmp_path: Path, refused: Callable) -> None:
    assert "rows.csv does not exist" in keyscore("load", "v", "rows.csv", *KEY).err
    (tmp_path / "folder.csv").mkdir()
    assert "folder.csv is not a file" in keyscore("load", "v", "folder.csv", *KEY).err
    said = refused("rows.txt", "id,a\n1,2\n", *KEY)
    assert said == "the name of rows.txt does not tell its format; say --format csv, jsonl or parquet"


@pytest.mark.parametrize("view", ["my view", "7days", "rows.csv", ""])
def test_a_view_that_no_spec_could_name(refused: Callable, view: str) -> None:
    assert "cannot name a view" in refused("rows.csv", "id,a\n1,2\n", *KEY, view=view)


def test_the_key_must_be_said_where_no_bundle_says_it(keyscore: Callable, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,a\n1,2\n")
    outcome = keyscore("load", "v", "rows.csv")
    assert outcome.code == 2
    assert "say which column of rows.csv is the key" in outcome.err


def test_a_type_that_does_not_exist(keyscore: Callable, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,a\n1,2\n")
    outcome = keyscore("load", "v", "rows.csv", *KEY, "--dtype", "a=str")
    assert outcome.code == 2
    assert "'a=str' must be COLUMN=TYPE" in outcome.err


def test_a_store_that_is_somebody_elses_or_locked(
    keyscore: Callable, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.csv").write_text("id,a\n1,2\n")
    sqlite3.connect(tmp_path / "other.sqlite").executescript("CREATE TABLE mine (x)").connection.close()
    assert "not a Keyscore store" in keyscore("load", "v", "rows.csv", *KEY, "--sqlite-path", "other.sqlite").err
    monkeypatch.setattr("features.stores.sqlite_writer._BUSY_TIMEOUT_S", 0.05)
    holder = sqlite3.connect(store, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert "is locked by another process" in keyscore("load", "v", "rows.csv", *KEY).err
    holder.close()


def test_a_first_load_that_is_refused_leaves_a_store_that_can_be_filled(keyscore: Callable, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,a\n1,2\n1,3\n")
    assert keyscore("load", "v", "rows.csv", *KEY).code == 1
    assert "holds nothing yet" in keyscore("put", "v", "1", "a=1").err
    (tmp_path / "rows.csv").write_text("id,a\n1,2\n")
    assert keyscore("load", "v", "rows.csv", *KEY).code == 0
