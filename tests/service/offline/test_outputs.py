"""Whatever a column holds, it passes through to CSV and JSON."""

import csv
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.spec import Spec
from service.offline.outputs import csv_bytes
from service.offline.parquet_rows import ParquetRows

ID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
IDS = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([ID.bytes, None], pa.binary(16)))
B64 = {"b64": "/w=="}
MOMENT = "1970-01-01 00:00:00.000000001"

# column, its first cell in CSV, its first value in JSON
COLUMNS: dict[str, tuple[Any, str, Any]] = {
    "UUID": (IDS, str(ID), str(ID)),
    "nanoseconds of another type": (
        pa.ExtensionArray.from_storage(
            pa.opaque(pa.duration("ns"), "span", "x"), pa.array([1, None], pa.duration("ns"))
        ),
        "1",
        "1",
    ),
    "bools of another type": (
        pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8())),
        "true",
        True,
    ),
    "views of lists": (pa.array([[1], None], pa.list_view(pa.int64())), "[1]", [1]),
    "half floats": (pa.array([1.5, None], pa.float16()), "1.5", 1.5),
    "view of text": (pa.array(["a,b", None], pa.string_view()), "a,b", "a,b"),
    "view of bytes": (pa.array([b"\xff", None], pa.binary_view()), '{"b64":"/w=="}', B64),
    "bytes of a fixed width": (pa.array([b"\xff", None], pa.binary(1)), '{"b64":"/w=="}', B64),
    "text of a fixed width": (pa.array([b"ab", None], pa.binary(2)), "ab", {"b64": "YWI="}),
    "dictionary of bytes": (pa.array([b"\xff", None]).dictionary_encode(), '{"b64":"/w=="}', B64),
    "span of nanoseconds": (pa.array([1, None], pa.duration("ns")), "1", "1"),
    "whole spans in nanoseconds": (pa.array([1_000, None], pa.duration("ns")), "1000", "1000"),
    "time of nanoseconds": (pa.array([1, None], pa.time64("ns")), "00:00:00.000000001", "00:00:00.000000001"),
    "moments in a list": (pa.array([[1], None], pa.list_(pa.timestamp("ns"))), f'["{MOMENT}"]', [MOMENT]),
    "moments in a structure": (
        pa.array([{"at": 1, "n": 2}, None], pa.struct([("at", pa.timestamp("ns")), ("n", pa.int64())])),
        f'{{"at":"{MOMENT}","n":2}}',
        {"at": MOMENT, "n": 2},
    ),
    "moments in a map": (
        pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.timestamp("ns"))),
        f'[["k","{MOMENT}"]]',
        [["k", MOMENT]],
    ),
    "moments in large lists": (
        pa.array([[[1]], None], pa.large_list(pa.list_(pa.timestamp("ns"), 1))),
        f'[["{MOMENT}"]]',
        [[MOMENT]],
    ),
    "large text that is none": (
        pa.Array.from_buffers(pa.large_string(), 2, pa.array([b"\xff", None], pa.large_binary()).buffers()),
        "\ufffd",
        "\ufffd",
    ),
    "text that is none": (
        pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff", None]).buffers()),
        "\ufffd",
        "\ufffd",
    ),
}


@pytest.mark.parametrize(("column", "cell", "value"), COLUMNS.values(), ids=COLUMNS.keys())
def test_a_column_of_parquet_passes_through(
    spec_of: Callable[[str], Spec], tmp_path: Path, column: Any, cell: str, value: Any
) -> None:
    pq.write_table(pa.table({"customer_id": ["C1", "C2"], "x": column}), tmp_path / "in.parquet")
    reading = ParquetRows(tmp_path / "in.parquet", spec_of("string"), extra=True).read()
    (chunk,) = reading.chunks
    assert [orjson.loads(text) for text in chunk.sent.texts()] == [
        {"customer_id": "C1", "x": value},
        {"customer_id": "C2", "x": None},
    ]
    assert len(chunk.sent.texts([1])) == 1
    table = pa.table(chunk.sent.columns(), schema=pa.schema(list(reading.schema.items())))
    lines = csv_bytes(table).decode(errors="replace").splitlines()
    assert list(csv.reader(lines)) == [["C1", cell], ["C2", ""]]
    assert table.take(pa.array([0])).num_rows == 1


def test_far_moments_in_a_list_are_told_as_text() -> None:
    column = pa.array([[2**62]], pa.list_(pa.timestamp("us")))
    assert b"value out of range" in csv_bytes(pa.table({"x": column}))
    soon = pa.array([[datetime(2030, 1, 1, tzinfo=UTC)]])
    assert csv_bytes(pa.table({"x": soon})) == b'"[""2030-01-01T00:00:00+00:00""]"\n'
