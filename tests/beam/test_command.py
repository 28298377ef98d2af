"""`python -m model.beam` scores files, says what it did, and refuses what cannot be meant."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from model.beam.command import main


@pytest.fixture
def command(
    shop: Callable[..., Path], shop_store: Path, tmp_path: Path, direct: list[str]
) -> Callable[..., tuple[int, Path]]:
    """`command(rows, *flags)`: the exit code and what the outputs' names begin with."""

    def run(rows: list[Any], *flags: str, name: str = "out") -> tuple[int, Path]:
        (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        output = tmp_path / name
        given = ["--input", str(tmp_path / "in.jsonl"), "--output", str(output), "--bundle", str(shop())]
        return main([*given, "--sqlite-path", str(shop_store), *direct, *flags]), output

    return run


GOOD = {"customer_id": "C1", "merchant_id": "M1", "amount": 12.5}


def test_a_file_is_scored_and_what_was_done_is_said(
    command: Callable[..., tuple[int, Path]],
    capsys: pytest.CaptureFixture[str],
    written: Callable[..., list[dict[str, Any]]],
) -> None:
    code, output = command([GOOD, {**GOOD, "amount": 1}])
    rows = written(output.parent, "out-")
    assert code == 0
    assert [set(row) for row in rows] == [{"instance", "prediction"}] * 2
    assert written(output.parent, "out.errors-") == []
    assert "instances 2, failed 0, defaulted 0, reads 3, keys read 3" in capsys.readouterr().err


def test_lines_cells_and_columns_of_the_same_instances_score_alike(
    command: Callable[..., tuple[int, Path]], tmp_path: Path, written: Callable[..., list[dict[str, Any]]]
) -> None:
    rows = [{"customer_id": f"C{1 + at % 2}", "merchant_id": "M1", "amount": at / 7} for at in range(50)]
    table = pa.Table.from_pylist(rows)
    csv.write_csv(table, tmp_path / "in.csv")
    parquet.write_table(table, tmp_path / "in.parquet")
    for name in ("in.jsonl", "in.csv", "in.parquet"):
        assert command(rows, "--input", str(tmp_path / name), name=f"from_{name}")[0] == 0
    found = [written(tmp_path, f"from_{name}-") for name in ("in.jsonl", "in.csv", "in.parquet")]
    lines, cells, columns = [{one["instance"]["amount"]: one["prediction"] for one in each} for each in found]
    assert len(lines) == 50
    assert lines == cells == columns


def test_the_exit_code_tells_that_some_have_no_score(
    command: Callable[..., tuple[int, Path]], written: Callable[..., list[dict[str, Any]]]
) -> None:
    code, output = command([GOOD, {**GOOD, "customer_id": "C9"}, "{"])
    assert code == 3
    assert len(written(output.parent, "out-")) == 1
    assert len(written(output.parent, "out.errors-")) == 2


def test_an_output_that_is_there_is_left_alone(
    command: Callable[..., tuple[int, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([GOOD])[0] == 0
    assert command([GOOD])[0] == 2
    assert "is there already: name another --output, or remove it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--bundle", "no/such/bundle"], "no/such/bundle does not exist"),
        (["--input", "no/such/file.jsonl"], "No files found based on the file pattern no/such/file.jsonl"),
        (["--input", "no/such/*.csv"], "No files found based on the file pattern no/such/*.csv"),
        (["--input", "rows"], "does not tell what it is written in"),
        (["--transforms", "no_such_module_here"], "no_such_module_here cannot be used"),
    ],
    ids=lambda one: "=".join(one) if isinstance(one, list) else "",
)
def test_what_cannot_be_begun_is_refused_in_a_line(
    command: Callable[..., tuple[int, Path]], capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    assert command([GOOD], *flags)[0] == 2
    assert said in capsys.readouterr().err


def test_plaintext_is_only_for_an_emulator(command: Callable[..., tuple[int, Path]]) -> None:
    with pytest.raises(SystemExit):
        command([GOOD], "--store", "vertex", "--vertex-plaintext")


def test_plaintext_and_way_of_reading_are_settings_too(
    command: Callable[..., tuple[int, Path]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEYSCORE_VERTEX_PLAINTEXT", "1")
    with pytest.raises(SystemExit):
        command([GOOD], "--store", "vertex")
    assert "--vertex-plaintext is for an emulator" in capsys.readouterr().err
    monkeypatch.setenv("KEYSCORE_VERTEX_ENDPOINT", "localhost:1")
    monkeypatch.setenv("KEYSCORE_VERTEX_READ", "sideways")
    assert command([GOOD], "--store", "vertex")[0] == 2
    assert "sideways" in capsys.readouterr().err


def test_a_setting_that_names_no_store_is_refused(
    command: Callable[..., tuple[int, Path]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEYSCORE_STORE", "foo")
    with pytest.raises(SystemExit):
        command([GOOD])
    assert "KEYSCORE_STORE is 'foo'; it may be sqlite or vertex" in capsys.readouterr().err
    monkeypatch.setenv("KEYSCORE_STORE", "")
    assert command([GOOD])[0] == 0


def test_rows_that_no_worker_could_read_show_in_the_exit_code(
    command: Callable[..., tuple[int, Path]], tmp_path: Path, written: Callable[..., list[dict[str, Any]]]
) -> None:
    (tmp_path / "in.csv").write_bytes(b"customer_id,merchant_id,amount\nC1,M1,1\nC\xff,M1,1\nC1,M1,2\n")
    code, output = command([], "--input", str(tmp_path / "in.csv"))
    assert code == 3
    assert sorted(one["instance"]["amount"] for one in written(output.parent, "out-")) == [1.0, 2.0]
    (failure,) = written(output.parent, "out.errors-")
    assert failure["error"]["detail"] == f"{tmp_path}/in.csv: line 3: is not UTF-8 text; save the file as UTF-8"


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_request_field_that_is_nan_in_a_table_is_refused_wherever_it_stands(
    command: Callable[..., tuple[int, Path]], tmp_path: Path, written: Callable[..., list[dict[str, Any]]], at: int
) -> None:
    amounts = [12.5, 3.0, 5.5, 900.0, 0.5]
    amounts[at] = math.nan
    rows = [{**GOOD, "amount": amount} for amount in amounts]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    code, output = command([], "--input", str(tmp_path / "in.parquet"))
    (failure,) = written(output.parent, "out.errors-")
    assert (code, failure["instance"]) == (3, {**GOOD, "amount": None})
    assert len(written(output.parent, "out-")) == 4


def test_keys_that_the_wire_would_refuse_are_refused_in_tables_too(
    command: Callable[..., tuple[int, Path]], tmp_path: Path, written: Callable[..., list[dict[str, Any]]]
) -> None:
    keys = {"bytes": pa.array([b"C1", b"\xff", b"\xfe"]), "date": pa.array([datetime(2026, 1, 31, tzinfo=UTC).date()])}
    told = {"bytes": [{"b64": "/g=="}, {"b64": "/w=="}], "date": ["2026-01-31"]}
    for name, column in keys.items():
        table = {"customer_id": column, "merchant_id": ["M1"] * len(column), "amount": [1.5] * len(column)}
        parquet.write_table(pa.table(table), tmp_path / "in.parquet")
        code, _ = command([], "--input", str(tmp_path / "in.parquet"), name=name)
        failures = written(tmp_path, f"{name}.errors-")
        assert (code, {one["error"]["field"] for one in failures}) == (3, {"customer_id"})
        assert sorted((one["instance"]["customer_id"] for one in failures), key=str) == told[name]
