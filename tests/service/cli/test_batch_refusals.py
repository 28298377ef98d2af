"""`keyscore batch` names file and row of what it refuses, and leaves nothing that looks complete."""

import errno
import gzip
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.offline.parts import Parts
from service.offline.sinks import PartsSink
from service.offline.tfrecord import framed

ROW = {"customer_id": "$C", "merchant_id": "$M", "amount": 12.5, "channel": "online"}
HEAD = "customer_id,merchant_id,amount,channel\n"
LINE = "$C,$M,12.5,online\n"
JSON = json.dumps(ROW) + "\n"


@pytest.fixture
def known(small_demo: Any) -> dict[str, str]:
    found: dict[str, str] = json.loads((small_demo.bundle / "golden.jsonl").read_text().splitlines()[0])["instance"]
    return found


@pytest.fixture
def flags(small_demo: Any) -> tuple[str, ...]:
    return ("--bundle", str(small_demo.bundle), "--sqlite-path", str(small_demo.store))


@pytest.fixture
def batch(keyscore: Callable, tmp_path: Path, flags: tuple[str, ...], known: dict[str, str]) -> Callable[..., Any]:
    """`batch(name, content, *flags)`: runs a job on a file; `$C` and `$M` in it are an entity's keys."""

    def run(name: str, content: str | bytes, *more: str, target: str = "out.jsonl") -> Any:
        if isinstance(content, str):
            content = content.replace("$C", known["customer_id"]).replace("$M", known["merchant_id"]).encode()
        (tmp_path / name).write_bytes(content)
        return keyscore("batch", name, target, *flags, *more)

    return run


CSV = {
    "empty": ("", "in.csv is empty"),
    "header only": (HEAD, "in.csv holds no rows"),
    "unknown column": (
        HEAD.replace("amount", "amuont") + LINE,
        "in.csv: column 'amuont' is neither a key nor a request field; did you mean 'amount'? (--extra ignore",
    ),
    "column too few": ("customer_id,merchant_id,amount\n$C,$M,1\n", "in.csv has no column 'channel'; its columns are"),
    "same name twice": (HEAD.replace("channel", "amount") + LINE, "two columns are called 'amount'"),
    "ragged": (HEAD + LINE + "$C,$M\n", "in.csv: line 3: has 2 cells, the header has 4"),
    "too many cells": (HEAD + "$C,$M,1,2,3\n", "in.csv: line 2: has 5 cells, the header has 4"),
    "ragged behind a line break": (HEAD + '$C,$M,1,"on\nline"\n$C\n', "in.csv: line 4: has 1 cells"),
    "quoted key": (
        HEAD + LINE + '"""$C""",$M,1,online\n',
        "line 3: 'customer_account' holds no row for this entity; 'customer_id' has quotes or spaces around it",
    ),
    "empty key": (HEAD + LINE + ",$M,1,online\n", "in.csv: line 3: 'customer_id' must not be empty"),
    "not a number": (HEAD + LINE + "$C,$M,x,online\n", "in.csv: line 3: 'amount' must be a finite number"),
    "no number": (HEAD + LINE + "$C,$M,,online\n", "in.csv: line 3: 'amount' must be a finite number"),
    "not finite": (HEAD + LINE + "$C,$M,nan,online\n", "in.csv: line 3: 'amount' must be a finite number"),
    "out of bounds": (HEAD + LINE + "$C,$M,-1,online\n", "in.csv: line 3: 'amount' must be at least 0"),
    "open quote": (HEAD + LINE + '$C,$M,1,"online\n', "line 3: the file ends inside a quoted cell"),
    "stray quote": (HEAD + LINE + '$C,$M,1,"on"line\n', "in.csv: line 3: is not CSV"),
}


@pytest.mark.parametrize(("content", "said"), CSV.values(), ids=CSV.keys())
def test_csv(batch: Callable, tmp_path: Path, content: str, said: str) -> None:
    outcome = batch("in.csv", content)
    assert outcome.code == 1
    assert said in outcome.err
    assert not list(tmp_path.glob("out*jsonl"))


JSONL = {
    "not JSON": (JSON + "{oops\n", "in.jsonl: line 2: is not JSON in UTF-8"),
    "not UTF-8": (b'\xff\n"x"\n', "in.jsonl: line 1: is not JSON in UTF-8"),
    "unknown member": (
        JSON + JSON.replace('"amount"', '"amuont"'),
        "in.jsonl: line 2: 'amuont' is neither a key nor a request field; did you mean 'amount'?",
    ),
    "member too many": (JSON + JSON.replace("}", ', "x": 1}'), "line 2: 'x' is neither a key nor a request field"),
    "bare key": (JSON + '"$C"\n', "in.jsonl: line 2: an instance must be an object with customer_id"),
    "key that is refused": (JSON + JSON.replace('"$C"', "1.5"), "line 2: 'customer_id' must be a string or an integer"),
    "unknown entity": (JSON + JSON.replace("$M", "nobody"), "line 2: 'merchant_risk' holds no row for this entity"),
    "nothing": ("\n\n", "in.jsonl holds no rows"),
    "line after blank ones": (JSON + "\n\n7\n", "in.jsonl: line 4: an instance must be"),
}


@pytest.mark.parametrize(("content", "said"), JSONL.values(), ids=JSONL.keys())
def test_jsonl(batch: Callable, tmp_path: Path, content: str | bytes, said: str) -> None:
    outcome = batch("in.jsonl", content)
    assert outcome.code == 1
    assert said in outcome.err
    assert not list(tmp_path.glob("out*jsonl"))


def test_parquet_that_is_gzipped_or_without_columns(batch: Callable, tmp_path: Path) -> None:
    pq.write_table(pa.table({name: [value] for name, value in ROW.items()}), tmp_path / "made.parquet")
    packed = gzip.compress((tmp_path / "made.parquet").read_bytes())
    for name, more in (("in.parquet.gz", ()), ("in.gz", ("--format", "parquet"))):
        outcome = batch(name, packed, *more)
        assert outcome.code == 1
        assert f"{name} is gzipped, which Parquet, compressed as it is, cannot be: gunzip it" in outcome.err
    pq.write_table(pa.table({}), tmp_path / "made.parquet")
    assert "in.parquet holds no columns" in batch("in.parquet", (tmp_path / "made.parquet").read_bytes()).err


def test_files_that_are_cut_short(batch: Callable, tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(b'["C%d", "M", 1, "x"]\n' % at for at in range(5_000)))
    said = batch("in.jsonl.gz", packed[:-100], "--on-error", "skip").err
    assert "in.jsonl.gz: the gzip file is cut short or damaged" in said
    pq.write_table(pa.table({name: [value] * 9 for name, value in ROW.items()}), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    assert "in.parquet: is not a whole Parquet file" in batch("in.parquet", whole[:-20], "--on-error", "skip").err
    record = framed(b"x" * 50)
    said = batch("in.tfrecord", record * 3 + record[:-9], "--on-error", "skip").err
    assert "in.tfrecord: record 4: the file ends in the middle of it" in said
    said = batch("in.tfrecord", record + b"\x01" + record[1:], "--on-error", "skip", "--overwrite").err
    assert "in.tfrecord: record 2: the record's length is damaged" in said
    assert "is this a TFRecord file?" in batch("in.tfrecord", b"{}" * 40, "--overwrite").err
    assert not list(tmp_path.glob("out.jsonl"))


UNREADABLE = {
    "in.jsonl": (JSON + "{oops\n" + "\xff\n" + "7\n" + JSON, [2, 3, 4]),
    "in.csv": (HEAD + LINE + "$C\n" + '$C,$M,1,"on"line\n' + "$C,$M,x,online\n" + LINE, [3, 4, 5]),
}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("target", ["out.jsonl", "out.csv", "out.parquet"])
def test_rows_that_cannot_be_read_are_null_or_left_out_and_told_of(
    batch: Callable, tmp_path: Path, name: str, target: str
) -> None:
    content, failing = UNREADABLE[name]
    assert batch(name, content, "--on-error", "null", target=target).code == 3
    errors = [json.loads(line) for line in (tmp_path / f"{target}.errors.jsonl").read_text().splitlines()]
    assert [one["line"] for one in errors] == failing
    assert {one["error"]["type"] for one in errors} == {"urn:keyscore:problem:invalid-instance"}
    assert [one["error"]["index"] for one in errors] == [1, 2, 3]
    assert [one is None for one in _scores(tmp_path / target)] == [False, True, True, True, False]
    assert batch(name, content, "--on-error", "skip", "--overwrite", target=target).code == 3
    assert [one is None for one in _scores(tmp_path / target)] == [False, False]
    assert len((tmp_path / f"{target}.errors.jsonl").read_text().splitlines()) == 3


def _scores(path: Path) -> list[Any]:
    if path.suffix == ".jsonl":
        return [json.loads(line)["prediction"] for line in path.read_text().splitlines()]
    if path.suffix == ".csv":
        return [line.split(",")[-1] or None for line in path.read_text().splitlines()[1:]]
    return list(pq.read_table(path).column("score_1").to_pylist())


def test_bytes_that_are_no_text_are_one_failed_row(batch: Callable, tmp_path: Path, known: dict[str, str]) -> None:
    keys = pa.array([known["customer_id"].encode(), b"\xff"])
    others = {"merchant_id": [known["merchant_id"]] * 2, "amount": [1.5] * 2, "channel": ["online"] * 2}
    pq.write_table(pa.table({"customer_id": keys, **others}), tmp_path / "made.parquet")
    outcome = batch("in.parquet", (tmp_path / "made.parquet").read_bytes(), "--on-error", "null", target="out.parquet")
    assert outcome.code == 3, outcome.err
    assert [one is None for one in _scores(tmp_path / "out.parquet")] == [False, True]
    (error,) = (json.loads(line) for line in (tmp_path / "out.parquet.errors.jsonl").read_text().splitlines())
    assert error["row"] == 2
    assert "'customer_id' must be a string" in error["error"]["detail"]


@pytest.mark.parametrize(("target", "more"), [("out.jsonl", ()), ("out.parquet", ("--on-error", "null"))])
def test_what_cannot_be_written_ends_the_job_in_order(
    batch: Callable, tmp_path: Path, known: dict[str, str], target: str, more: tuple[str, ...]
) -> None:
    no_text = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    columns = {name: [value] for name, value in {**known, "amount": -1.0 if more else 1.0}.items()}
    pq.write_table(pa.table({**columns, "odd": pa.ListArray.from_arrays([0, 1], no_text)}), tmp_path / "made.parquet")
    outcome = batch("in.parquet", (tmp_path / "made.parquet").read_bytes(), "--extra", "ignore", *more, target=target)
    assert outcome.code == 1
    assert "in.parquet: row 1 or one soon behind it holds what cannot be written ('utf-8' codec" in outcome.err
    assert not (tmp_path / target).exists()


def test_a_damaged_record_is_one_failed_row(batch: Callable, tmp_path: Path, known: dict[str, str]) -> None:
    record = framed(known["customer_id"].encode())
    damaged = record[:12] + b"?" + record[13:]
    assert batch("in.tfrecord", record + damaged + record, "--on-error", "null").code == 3
    errors = [orjson.loads(line) for line in (tmp_path / "out.jsonl.errors.jsonl").read_bytes().splitlines()]
    assert [one["error"]["detail"] for one in errors][1] == "is damaged: its checksum is wrong"
    assert [one["record"] for one in errors] == [1, 2, 3]


def test_what_is_there_is_not_replaced_unasked(batch: Callable, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("mine")
    outcome = batch("in.jsonl", JSON)
    assert outcome.code == 2
    assert "out.jsonl exists already; --overwrite replaces it" in outcome.err
    assert (tmp_path / "out.jsonl").read_text() == "mine"
    assert "nothing to resume" in batch("in.jsonl", JSON, "--resume").err
    assert batch("in.jsonl", JSON, "--overwrite").code == 0
    assert json.loads((tmp_path / "out.jsonl").read_text())["instance"]["amount"] == 12.5
    (tmp_path / "other.jsonl.errors.jsonl").write_text("an older job's")
    assert batch("in.jsonl", JSON, target="other.jsonl").code == 2
    assert batch("in.jsonl", JSON, "--overwrite", target="other.jsonl").code == 0
    assert not (tmp_path / "other.jsonl.errors.jsonl").exists()


USAGE = {
    "no such input": (("none.jsonl", "out.jsonl"), 1, "none.jsonl does not exist"),
    "a directory": ((".", "out.jsonl", "--format", "csv"), 1, ". is a directory"),
    "nameless input": (("in", "out.jsonl"), 2, "the name in tells no format; say --format (jsonl, csv, parquet"),
    "nameless output": (("in.jsonl", "out"), 2, "say --output-format (jsonl, csv, parquet)"),
    "packed output": (("in.jsonl", "out.csv.gz"), 2, "leave .gz out"),
    "stdin without format": (("-", "out.csv"), 2, "a stream has no name to tell its format; say --format"),
    "Parquet from stdin": (("-", "out.csv", "--format", "parquet"), 2, "stdin does not allow: name a file"),
    "Parquet to stdout": (("in.jsonl", "-", "--output-format", "parquet"), 2, "name a file"),
    "no folder": (("in.jsonl", "none/out.csv"), 2, "none is not a directory: make it first"),
    "itself": (("in.jsonl", "in.jsonl"), 2, "in.jsonl is the input"),
    "resume to stdout": (("in.jsonl", "-", "--output-format", "csv", "--resume"), 2, "cannot be taken up again"),
    "resume from stdin": (("-", "out.csv", "--format", "csv", "--resume"), 2, "stdin cannot be read again"),
    "errors of stdout": (("in.jsonl", "-", "--output-format", "csv", "--on-error", "null"), 2, "--errors FILE"),
    "a directory as output": (("in.jsonl", ".", "--output-format", "csv"), 2, ". is a directory: name a file in it"),
    "no pace": (("in.jsonl", "out.csv", "--max-reads-per-s", "inf"), 2, "must be a number of keys, not inf"),
    "errors nowhere": (("in.jsonl", "out.csv", "--errors", "none/e"), 2, "none is not a directory: make it first"),
    "errors over the input": (
        ("in.jsonl", "out.csv", "--errors", "./in.jsonl", "--overwrite"),
        2,
        "in.jsonl is the input: name another error file",
    ),
    "errors over the output": (("in.jsonl", "out.csv", "--errors", "out.csv"), 2, "out.csv is the output: name"),
    "errors to a device": (
        ("in.jsonl", "out.csv", "--errors", "/dev/null", "--overwrite"),
        2,
        "/dev/null is no file that could be replaced",
    ),
    "no such option": (("in.jsonl", "out.csv", "--on-error", "explode"), 2, "explode"),
}


@pytest.mark.parametrize(("words", "code", "said"), USAGE.values(), ids=USAGE.keys())
def test_usage(  # noqa: PLR0917  # what pytest hands in
    keyscore: Callable, tmp_path: Path, flags: tuple[str, ...], words: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "in.jsonl").write_text(JSON)
    outcome = keyscore("batch", *words, *flags)
    assert outcome.code == code
    assert said in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_an_output_that_appears_while_the_model_is_loaded_is_not_replaced(
    batch: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Parts.held

    def late(parts: Parts) -> Any:
        (tmp_path / "out.jsonl").write_text("another job's")
        return held(parts)

    monkeypatch.setattr(Parts, "held", late)
    outcome = batch("in.jsonl", JSON)
    assert outcome.code == 2
    assert "out.jsonl exists already; --overwrite replaces it" in outcome.err
    assert (tmp_path / "out.jsonl").read_text() == "another job's"
    assert not (tmp_path / "out.jsonl.parts").exists()


def test_an_input_that_changes_while_it_is_read_makes_no_output(
    batch: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = PartsSink.begin

    def late(sink: PartsSink, schema: Any) -> None:
        with (tmp_path / "in.jsonl").open("a") as file:
            file.write("\n")
        begin(sink, schema)

    monkeypatch.setattr(PartsSink, "begin", late)
    outcome = batch("in.jsonl", JSON)
    assert outcome.code == 1
    assert "in.jsonl was changed while it was read" in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_an_error_file_may_be_in_another_file_system(batch: Callable, tmp_path: Path, monkeypatch: Any) -> None:
    replace = Path.replace

    def nearby(path: Path, target: Path) -> Path:
        if path.parent != target.parent and path.name == "joined.errors":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", nearby)
    (tmp_path / "far").mkdir()
    outcome = batch("in.jsonl", JSON + "7\n", "--on-error", "null", "--errors", "far/errors")
    assert outcome.code == 3, outcome.err
    assert json.loads((tmp_path / "far" / "errors").read_text())["line"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far", "in.jsonl", "out.jsonl"]
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["errors"]


def test_errors_of_a_stream_may_go_to_a_device(batch: Callable) -> None:
    more = ("--output-format", "csv", "--on-error", "null", "--errors", "/dev/null")
    assert batch("in.jsonl", JSON + "7\n", *more, target="/dev/null").code == 3


def test_a_file_without_line_breaks_is_refused_before_it_fills_the_memory(batch: Callable) -> None:
    outcome = batch("in.jsonl", JSON.encode() + b"[" * (20 << 20), "--on-error", "skip")
    assert outcome.code == 1
    assert "in.jsonl: line 2: is longer than 16 MiB; each instance has a line of its own" in outcome.err


def test_a_column_that_the_output_adds_is_refused(batch: Callable) -> None:
    outcome = batch("in.csv", f"{HEAD[:-1]},score_1\n{LINE[:-1]},9\n", "--extra", "ignore", target="out.csv")
    assert outcome.code == 2
    assert "a column 'score_1'" in outcome.err


def test_a_full_disk_leaves_no_output(tmp_path: Path, flags: tuple[str, ...], known: dict[str, str]) -> None:
    row = JSON.replace("$C", known["customer_id"]).replace("$M", known["merchant_id"])
    (tmp_path / "in.jsonl").write_text("".join(row.replace("12.5", str(at * 0.618 % 500)) for at in range(20_000)))
    for target, most_bytes in (("out.jsonl", 500_000), ("out.parquet", 100_000), ("out.csv", 200_000)):
        done = run(tmp_path, "batch", "in.jsonl", target, "--part-rows", "1000", *flags, most_bytes=most_bytes)
        assert done.returncode == 1, done.stderr
        assert f"{target}.parts cannot be written: File too large" in done.stderr
        assert "--resume" in done.stderr
        assert not (tmp_path / target).exists()
    assert run(tmp_path, "batch", "in.jsonl", "out.csv", "--resume", "--part-rows", "1000", *flags).returncode == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 20_001
    done = run(tmp_path, "batch", "in.jsonl", "/dev/full", "--output-format", "csv", *flags)
    assert done.returncode == 1
    assert "/dev/full cannot be written: No space left on device" in done.stderr
    assert Path("/dev/full").is_char_device()


def test_a_reader_that_goes_away_ends_the_job(tmp_path: Path, flags: tuple[str, ...], known: dict[str, str]) -> None:
    row = JSON.replace("$C", known["customer_id"]).replace("$M", known["merchant_id"])
    (tmp_path / "in.jsonl").write_text(row * 2_000)
    reader, writer = os.pipe()
    os.close(reader)
    words = ("batch", "in.jsonl", "-", "--output-format", "csv", *flags)
    line = [sys.executable, "-m", "service.cli.main", *words]
    done = subprocess.run(line, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603  # our own program
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == "error: stdout cannot be written: Broken pipe\n"


def run(cwd: Path, *words: str, most_bytes: int = resource.RLIM_INFINITY) -> subprocess.CompletedProcess[str]:
    """Runs a command whose files cannot be longer than so many bytes."""
    script = (
        "import resource, sys; from service.cli.main import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, {most_bytes})); sys.exit(main(sys.argv[1:]))"
    )
    line = [sys.executable, "-c", script, *words]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603  # our own program
