"""`keyscore batch` gives the service's own answers, in every format and in the order of the input."""

import asyncio
import csv
import gzip
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.tf_example import Example
from service.offline.tfrecord import framed
from service.settings import Platform, Settings
from service.wiring import running_service

N = 10_000

Instance = dict[str, Any]


def route(small_demo: Any, instances: Sequence[Any], *, detailed: bool = False) -> list[Any]:
    """What the service answers."""

    async def ask() -> list[Any]:
        settings = Settings(bundle=str(small_demo.bundle), sqlite_path=small_demo.store, deadline_s=300)
        async with running_service(settings, Platform()) as service:
            with service.pipeline.admission.admit() as permit:
                body = orjson.dumps({"instances": instances, "parameters": {"on_error": "null"}})
                answer = await service.pipeline.answer(body, permit, detailed=detailed)
                return list(orjson.loads(answer.body)["predictions"])

    return asyncio.run(ask())


def example(instance: Instance) -> bytes:
    made = Example()
    for name, value in instance.items():
        feature = made.features.feature[name]
        if isinstance(value, str):
            feature.bytes_list.value.append(value.encode())
        else:
            feature.float_list.value.append(value)
    return bytes(made.SerializeToString(deterministic=True))


def written(path: Path, instances: Sequence[Instance]) -> Path:
    """The instances in a file of the format that its name tells."""
    kind = path.name.split(".")[1]
    columns = {name: [one[name] for one in instances] for name in instances[0]}
    if kind == "parquet":
        table = pa.table(columns)
        table = table.set_column(0, "customer_id", table.column("customer_id").dictionary_encode())
        pq.write_table(table, path, row_group_size=3_000)
        return path
    if kind == "csv":
        rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
        data = "\n".join(rows).encode() + b"\n"
    elif kind == "jsonl":
        data = b"".join(orjson.dumps(one) + b"\n" for one in instances)
    else:
        data = b"".join(framed(example(one)) for one in instances)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture
def flags(small_demo: Any) -> tuple[str, ...]:
    return ("--bundle", str(small_demo.bundle), "--sqlite-path", str(small_demo.store))


@pytest.fixture
def instances(small_demo: Any) -> list[Instance]:
    """Payments of customers at merchants that are in the store, amounts with and without a fraction."""
    lines = [json.loads(line)["instance"] for line in (small_demo.bundle / "golden.jsonl").read_text().splitlines()]
    random = Random(5)  # noqa: S311  # for tests
    return [
        {
            "customer_id": random.choice(lines)["customer_id"],
            "merchant_id": random.choice(lines)["merchant_id"],
            "amount": round(random.uniform(0, 500), 2) if at % 7 else at % 50,
            "channel": random.choice(lines)["channel"],
        }
        for at in range(N)
    ]


def lines_of(path: Path) -> list[Any]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def scores_in(path: Path) -> list[list[float]]:
    """The scores in an output, whatever its format."""
    if path.suffix == ".jsonl":
        return [line["prediction"] for line in lines_of(path)]
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return [list(row) for row in zip(*(table.column(f"score_{at}").to_pylist() for at in "01"), strict=True)]
    with path.open(newline="") as file:
        return [[float(row["score_0"]), float(row["score_1"])] for row in csv.DictReader(file)]


INPUTS = ("jsonl", "csv", "parquet", "tfrecord", "jsonl.gz", "csv.gz", "tfrecord.gz")


def test_ten_thousand_instances_score_bit_by_bit_alike_in_every_format_and_online(
    keyscore: Callable, tmp_path: Path, small_demo: Any, flags: tuple[str, ...], instances: list[Instance]
) -> None:
    expected = route(small_demo, instances)
    assert len({tuple(one) for one in expected}) > 1_000
    for at, kind in enumerate(INPUTS):
        source = written(tmp_path / f"in.{kind}", instances)
        target = tmp_path / f"out{at}.{('jsonl', 'csv', 'parquet')[at % 3]}"
        outcome = keyscore("batch", source, target, *flags)
        assert outcome.code == 0, outcome.err
        assert scores_in(target) == expected, kind


def test_a_line_of_jsonl_holds_the_instance_as_it_came_and_what_the_simple_route_answers(
    keyscore: Callable, tmp_path: Path, small_demo: Any, flags: tuple[str, ...], instances: list[Instance]
) -> None:
    few = instances[:5]
    shapes = [few[0], list(few[1].values()), {"b64": "x"}, dict(reversed(few[3].items())), few[4]]
    (tmp_path / "in.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\r\n\n".join(map(orjson.dumps, shapes)))
    outcome = keyscore("batch", "in.jsonl", "out.jsonl", *flags, "--on-error", "null")
    assert outcome.code == 3
    found = lines_of(tmp_path / "out.jsonl")
    assert [line["instance"] for line in found] == shapes
    assert [line["prediction"] for line in found] == route(small_demo, shapes)
    assert found[2]["prediction"] is None
    assert "see out.jsonl.errors.jsonl" in outcome.out


def test_detailed_lines_hold_what_the_detailed_route_answers(
    keyscore: Callable, tmp_path: Path, small_demo: Any, flags: tuple[str, ...], instances: list[Instance]
) -> None:
    few: list[Any] = [*instances[:40], 7, *instances[40:60]]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(map(orjson.dumps, few)))
    assert keyscore("batch", "in.jsonl", "out.jsonl", *flags, "--detailed", "--on-error", "null").code == 3
    found = [line["prediction"] for line in lines_of(tmp_path / "out.jsonl")]
    expected = route(small_demo, few, detailed=True)
    for one in (*found, *expected):
        for used in one.get("features", {}).values():
            del used["age_s"], used["cached_s"], used["source"]
    assert found == expected
    assert found[40]["error"]["index"] == 40


def test_a_table_keeps_its_columns_and_gains_scores_and_class(
    keyscore: Callable, tmp_path: Path, small_demo: Any, flags: tuple[str, ...], instances: list[Instance]
) -> None:
    few = instances[:100]
    table = pa.table({name: [one[name] for one in few] for name in few[0]})
    table = table.append_column("note", pa.array([[at, None] for at in range(100)]))
    pq.write_table(table, tmp_path / "in.parquet")
    refused = keyscore("batch", "in.parquet", "out.parquet", *flags)
    assert refused.code == 1
    assert "in.parquet: column 'note' is neither a key nor a request field" in refused.err
    assert keyscore("batch", "in.parquet", "out.parquet", *flags, "--extra", "ignore").code == 0
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(table.column_names).equals(table)
    assert found.column_names[5:] == ["score_0", "score_1", "predicted_class"]
    detailed = route(small_demo, few, detailed=True)
    assert found.column("predicted_class").to_pylist() == [one["predicted_class"] for one in detailed]
    assert keyscore("batch", "in.parquet", "out.csv", *flags, "--extra", "ignore").code == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["note"] for row in rows[:2]] == ["[0,null]", "[1,null]"]
    assert [row["customer_id"] for row in rows] == [one["customer_id"] for one in few]


def test_columns_of_any_type_pass_through(
    keyscore: Callable, tmp_path: Path, flags: tuple[str, ...], instances: list[Instance]
) -> None:
    table = pa.table({name: [one[name] for one in instances[:2]] for name in instances[0]})
    odd: dict[str, Any] = {
        "category": pa.array(["a", "b"]).dictionary_encode(),
        "price": pa.array([Decimal("1.2"), None]),
        "bytes": pa.array([b"\xff", b"text"]),
        "far": pa.array([2**62, 0], pa.timestamp("us")),
    }
    for name, column in odd.items():
        table = table.append_column(name, column)
    table = table.set_column(3, "channel", table.column("channel").dictionary_encode())
    pq.write_table(table, tmp_path / "in.parquet")
    for target in ("out.jsonl", "out.csv", "out.parquet"):
        outcome = keyscore("batch", "in.parquet", target, *flags, "--extra", "ignore")
        assert outcome.code == 0, outcome.err
    first, second = (line["instance"] for line in lines_of(tmp_path / "out.jsonl"))
    assert [first["category"], first["price"], first["bytes"]] == ["a", 1.2, {"b64": "/w=="}]
    assert [second["category"], second["price"], second["bytes"]] == ["b", None, {"b64": "dGV4dA=="}]
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = [[row["category"], row["price"], row["bytes"]] for row in csv.DictReader(file)]
    assert rows == [["a", "1.2", '{"b64":"/w=="}'], ["b", "", "text"]]
    assert pq.read_table(tmp_path / "out.parquet").select(table.column_names).equals(table)


def test_detailed_tables_have_four_columns_for_every_feature(
    keyscore: Callable, tmp_path: Path, small_demo: Any, flags: tuple[str, ...], instances: list[Instance]
) -> None:
    few = [*instances[:20], {**instances[0], "customer_id": "nobody"}, *instances[20:30]]
    written(tmp_path / "in.csv", few)
    assert keyscore("batch", "in.csv", "out.parquet", *flags, "--detailed", "--on-error", "null").code == 3
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    for row, answer in zip(rows, route(small_demo, few, detailed=True), strict=True):
        if "error" in answer:
            assert row["score_0"] is row["predicted_class"] is row["amount_value"] is row["amount_status"] is None
            continue
        for name, used in answer["features"].items():
            assert row[f"{name}_value"] == used["value"]
            assert row[f"{name}_status"] == used["status"]
            assert (row[f"{name}_age_s"] is None) == (used["age_s"] is None)
    assert {row["amount_source"] for row in rows} == {"request", None}


def test_text_stays_text_and_numbers_are_what_they_spell(
    keyscore: Callable, tmp_path: Path, train: Callable, write_bundle: Callable
) -> None:
    (tmp_path / "rows.csv").write_text('id,a,b\n007,1,2\n7,3,4\n"""q""",5,6\n')
    assert keyscore("load", "v", "rows.csv", "--key", "id").code == 0
    flags = ("--bundle", write_bundle(train(("a", "b"))), "--view", "v")
    (tmp_path / "in.csv").write_text('id\n007\n"7"\n"""q"""\n')
    (tmp_path / "in.jsonl").write_text('"007"\n7\n"\\"q\\""\n')
    pq.write_table(pa.table({"id": ["007", "7", '"q"']}), tmp_path / "in.parquet")
    found = []
    for name in ("in.csv", "in.jsonl", "in.parquet"):
        outcome = keyscore("batch", name, "out.parquet", *flags, "--overwrite")
        assert outcome.code == 0, outcome.err
        found.append(pq.read_table(tmp_path / "out.parquet"))
    assert all(one.column("id").to_pylist() == ["007", "7", '"q"'] for one in found)
    assert len({tuple(one.column("score_1").to_pylist()) for one in found}) == 1
    pq.write_table(pa.table({"id": pa.array([7, 7.0], pa.float64())}), tmp_path / "in.parquet")
    assert keyscore("batch", "in.parquet", "out.jsonl", *flags).code == 0
    assert [line["instance"] for line in lines_of(tmp_path / "out.jsonl")] == [{"id": 7.0}] * 2


def test_stdin_and_stdout(tmp_path: Path, small_demo: Any, flags: tuple[str, ...], instances: list[Instance]) -> None:
    data = gzip.compress(b"".join(orjson.dumps(one) + b"\n" for one in instances[:50]))
    words = ("batch", "-", "-", "--format", "jsonl", "--output-format", "csv", *flags)
    line = [sys.executable, "-m", "service.cli.main", *words]
    done = subprocess.run(line, input=data, capture_output=True, check=False, cwd=tmp_path)  # noqa: S603  # our own program
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.decode().splitlines()))
    assert [[float(row["score_0"]), float(row["score_1"])] for row in rows] == route(small_demo, instances[:50])
    assert b"rows" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_job_does_not_wait_for_the_rest_of_stdin(tmp_path: Path, flags: tuple[str, ...]) -> None:
    line = [sys.executable, "-m", "service.cli.main", "batch", "-", "out.csv", "--format", "csv", *flags]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:  # noqa: S603  # same
        assert process.stdin is not None
        process.stdin.write(b"customer_id,merchant_id,amount,channel\n")
        process.stdin.flush()
        while not (tmp_path / "out.csv.parts" / "joined").exists():  # then it has read the header
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert list(tmp_path.iterdir()) == []


def test_the_summary_adds_up(
    keyscore: Callable, tmp_path: Path, flags: tuple[str, ...], instances: list[Instance]
) -> None:
    written(tmp_path / "in.jsonl", [*instances[:300], {**instances[0], "amount": -1}])
    outcome = keyscore("batch", "in.jsonl", "out.jsonl", *flags, "--on-error", "skip")
    told = {line.split()[0]: line.split()[1] for line in outcome.out.splitlines() if line.strip()}
    assert outcome.code == 3
    assert told["rows"] == "301"
    assert told["failed"] == "1"
    assert told["stale"] == told["degraded"] == "0"
    customers = {one["customer_id"] for one in instances[:300]}
    merchants = {one["merchant_id"] for one in instances[:300]}
    views = re.search(r"keys read +([\d,]+)", outcome.out)
    assert views is not None
    assert int(views[1].replace(",", "")) == 2 * len(customers) + len(merchants)
