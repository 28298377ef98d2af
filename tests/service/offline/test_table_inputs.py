"""Columns of tables become instances by the rules of the wire, whatever they are written in."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import InstanceInvalid
from features.instances import InstanceParser
from features.spec import Spec
from service.offline.chunks import Chunk
from service.offline.csv_rows import CsvRows
from service.offline.parquet_rows import ParquetRows
from service.offline.streams import Wake

DEMO = {"customer_id": "C1", "merchant_id": "M1", "amount": 12.34, "channel": "online"}
FIELDS = {"customer_id": "C1", "amount": 12.34, "count": 3, "new": True, "note": "x", "delta": -0.5}


@pytest.fixture
def wake() -> Iterator[Wake]:
    with closing(Wake()) as made:
        yield made


def parquet(path: Path, columns: dict[str, Any], spec: Spec, *, extra: bool = False) -> list[Chunk]:
    pq.write_table(pa.table(columns), path / "in.parquet", row_group_size=3)
    return list(ParquetRows(path / "in.parquet", spec, extra=extra).read().chunks)


def understood(chunk: Chunk) -> list[Any]:
    """Each row's instance, or the words with which it was refused."""
    found: list[Any] = [None] * chunk.request.size
    for at, index in enumerate(chunk.request.indexes):
        found[index] = chunk.request.instances[at]
    for index, error in chunk.request.failures.items():
        found[index] = str(error)
    return found


def on_the_wire(instance: Any, spec: Spec) -> Any:
    try:
        return InstanceParser(spec).instance(instance)
    except InstanceInvalid as error:
        return str(error)


KEYS = {
    "text": pa.array(["007", "", "C\u00e9", None]),
    "dictionary": pa.array(["007", "x", "007", "y"]).dictionary_encode(),
    "dictionary with a null": pa.array(["007", None, "007", "y"]).dictionary_encode(),
    "large text": pa.array(["a", "b", "a", "b"], pa.large_string()),
    "bytes": pa.array([b"a", b"b", b"a", b"b"]),
    "dictionary of bytes": pa.array([b"a", b"b", b"a", b"b"]).dictionary_encode(),
    "dictionary of bytes with a null": pa.array([b"a", None, b"a", b"b"]).dictionary_encode(),
    "view of text": pa.array(["a", "b", None, "b"], pa.string_view()),
    "view of bytes": pa.array([b"a", b"b", None, b"b"], pa.binary_view()),
    "lists": pa.array([["a"], [], None, ["b"]]),
    "structures": pa.array([{"a": 1}, {"a": 2}, None, {"a": None}]),
    "decimals of 32 bits": pa.array([Decimal(7), Decimal("1.5"), None, Decimal(8)], pa.decimal32(5, 1)),
    "integers": pa.array([7, 2**63 - 1, -1, None]),
    "small integers": pa.array([7, 255, 0, 7], pa.uint8()),
    "whole floats": pa.array([7.0, 2.0**53, 1.5, float("nan")]),
    "whole decimals": pa.array([Decimal("7.0"), Decimal(8), Decimal("1.5"), None]),
    "bools": pa.array([True, False, True, None]),
    "dates": pa.array([datetime(2026, 1, day, tzinfo=UTC).date() for day in (1, 2, 3, 4)]),
    "moments": pa.array([datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)]),
}


@pytest.mark.parametrize("column", KEYS.values(), ids=KEYS.keys())
def test_a_key_of_parquet_is_what_its_value_is_on_the_wire(
    spec_of: Callable[[str], Spec], tmp_path: Path, column: Any
) -> None:
    spec = spec_of("string")
    values = [value.decode() if isinstance(value, bytes) else value for value in column.to_pylist()]
    values = [float(value) if isinstance(value, Decimal) else value for value in values]
    chunks = parquet(tmp_path, {"customer_id": column}, spec)  # dictionaries end where their row group does
    assert [one for chunk in chunks for one in understood(chunk)] == [on_the_wire([value], spec) for value in values]
    assert [place for chunk in chunks for place in chunk.places] == [1, 2, 3, 4]


NO_KEYS = {
    "UUIDs": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16), None, bytes(16)], pa.binary(16))),
    "moments": pa.array([1, None, 2**60], pa.timestamp("ns")),
    "far moments": pa.array([2**62, None, 0], pa.timestamp("us")),
    "spans of nanoseconds": pa.array([1, None, 2], pa.duration("ns")),
    "lists of spans": pa.array([[1], None, [2]], pa.list_(pa.duration("ns"))),
    "bytes that are no text": pa.array([b"\xff", None, b"\xfe"]),
    "text that is none": pa.Array.from_buffers(pa.string(), 3, pa.array([b"\xff", None, b"\xfe"]).buffers()),
}


@pytest.mark.parametrize("column", NO_KEYS.values(), ids=NO_KEYS.keys())
def test_what_json_does_not_know_is_no_key_and_no_field_and_fails_only_its_rows(
    spec_of: Callable[[str], Spec], tmp_path: Path, column: Any
) -> None:
    (chunk,) = parquet(tmp_path, {"customer_id": column}, spec_of("string"))
    assert understood(chunk) == ["'customer_id' must be a string or an integer below 2^53"] * 3
    columns = {name: column if name == "note" else [value] * 3 for name, value in FIELDS.items()}
    (chunk,) = parquet(tmp_path, columns, spec_of("fields"))
    assert understood(chunk) == ["'note' must be a string"] * 3


FLOATS = {
    "float64": pa.array([12.34, 1e-50, 999.9999999]),
    "float32": pa.array([12.34, 0.1, 5.5], pa.float32()),
    "integers": pa.array([16_777_217, 0, 7]),
    "with a null": pa.array([12.34, None, 5.5]),
    "with NaN": pa.array([12.34, float("nan"), 5.5]),
    "infinite": pa.array([12.34, float("inf"), 5.5]),
    "beyond float32": pa.array([12.34, 1e39, 5.5]),
    "negative": pa.array([12.34, -1.0, 5.5]),
    "decimals": pa.array([Decimal("12.34"), Decimal("0.10"), Decimal("5.50")]),
    "texts": pa.array(["12.34", "1", "5.5"]),
}


@pytest.mark.parametrize("column", FLOATS.values(), ids=FLOATS.keys())
def test_a_float_of_parquet_is_what_its_value_is_on_the_wire(
    spec_of: Callable[[str], Spec], tmp_path: Path, column: Any
) -> None:
    spec = spec_of("demo")
    values = [float(value) if isinstance(value, Decimal) else value for value in column.to_pylist()]
    columns = {name: column if name == "amount" else [value] * 3 for name, value in DEMO.items()}
    (chunk,) = parquet(tmp_path, columns, spec)
    assert understood(chunk) == [on_the_wire({**DEMO, "amount": value}, spec) for value in values]


@pytest.mark.parametrize(
    ("field", "column"),
    [("count", pa.array([3, 0, None])), ("count", pa.array([3.0, 2.5, 1.0])), ("new", pa.array([True, None, False]))],
)
def test_other_fields_of_parquet_are_what_they_are_on_the_wire(
    spec_of: Callable[[str], Spec], tmp_path: Path, field: str, column: Any
) -> None:
    spec = spec_of("fields")
    columns = {name: column if name == field else [value] * 3 for name, value in FIELDS.items()}
    (chunk,) = parquet(tmp_path, columns, spec)
    assert understood(chunk) == [on_the_wire({**FIELDS, field: value}, spec) for value in column.to_pylist()]


def test_what_passes_through_a_table_is_told_in_json(spec_of: Callable[[str], Spec], tmp_path: Path) -> None:
    columns = {
        "customer_id": ["C1"],
        "at": pa.array([1_700_000_000_000_000_001], pa.timestamp("ns", "UTC")),
        "raw": [b"\x00\xff"],
        "price": [Decimal("1.50")],
        "list": [[1, None]],
        "lost": [float("nan")],
    }
    (chunk,) = parquet(tmp_path, columns, spec_of("string"), extra=True)
    (text,) = chunk.sent.texts()
    assert orjson.loads(text) == {
        "customer_id": "C1",
        "at": datetime.fromtimestamp(1_700_000_000, UTC).isoformat(),
        "raw": {"b64": "AP8="},
        "price": 1.5,
        "list": [1, None],
        "lost": None,
    }


def test_cells_of_csv_are_what_they_spell(spec_of: Callable[[str], Spec], tmp_path: Path, wake: Wake) -> None:
    spec = spec_of("fields")
    rows = {
        "007,12.34,3,true,x,-.5": {**FIELDS, "customer_id": "007"},
        'C1,1e1,3.0,0,"a,""b",0': {**FIELDS, "amount": 10.0, "new": False, "note": 'a,"b', "delta": 0.0},
        "C1,12.34,3,1,,-0.5": {**FIELDS, "note": ""},
        "C1,12.34,,True,x,-0.5": {**FIELDS, "count": None},
        "C1,x,3,True,x,-0.5": {**FIELDS, "amount": "x"},
        "C1,12.34,3,yes,x,-0.5": {**FIELDS, "new": "yes"},
        "C1,inf,3,True,x,-0.5": {**FIELDS, "amount": "inf"},
    }
    (tmp_path / "in.csv").write_text("\ufeff" + ",".join(FIELDS) + "\r\n" + "\r\n".join(rows))
    reading = CsvRows(tmp_path / "in.csv", spec, extra=False, wake=wake, verbatim=False).read()
    (chunk,) = reading.chunks
    assert understood(chunk) == [on_the_wire(row, spec) for row in rows.values()]
    assert list(chunk.places) == [2, 3, 4, 5, 6, 7, 8]
    assert [orjson.loads(text) for text in chunk.sent.texts()] == list(rows.values())
    assert reading.schema["count"] == pa.int64()
    assert chunk.sent.columns()["count"].to_pylist()[2:4] == [3, None]


@pytest.mark.parametrize("skip", [0, 3, 6, 7])
def test_rows_that_are_done_are_passed_over(
    spec_of: Callable[[str], Spec], tmp_path: Path, wake: Wake, skip: int
) -> None:
    spec = spec_of("string")
    (tmp_path / "in.csv").write_text("customer_id\n" + "".join(f"C{at}\n\n" for at in range(7)))
    pq.write_table(pa.table({"customer_id": [f"C{at}" for at in range(7)]}), tmp_path / "in.parquet")
    for source in (
        CsvRows(tmp_path / "in.csv", spec, extra=False, wake=wake, verbatim=True, chunk_rows=3),
        ParquetRows(tmp_path / "in.parquet", spec, extra=False, chunk_rows=3),
    ):
        keys = [key for chunk in source.read(skip).chunks for key in chunk.request.instances.keys[0]]
        assert keys == [f"C{at}" for at in range(skip, 7)]


def test_memory_is_that_of_a_chunk_whatever_is_in_a_row_group(spec_of: Callable[[str], Spec], tmp_path: Path) -> None:
    pq.write_table(pa.table({"customer_id": [f"C{at}" for at in range(70_000)]}), tmp_path / "in.parquet")
    chunks = list(ParquetRows(tmp_path / "in.parquet", spec_of("string"), extra=False).read().chunks)
    assert [chunk.request.size for chunk in chunks] == [32_768, 32_768, 4_464]
    assert chunks[-1].share == 1.0


@pytest.mark.parametrize("n_texts", [4_000, 1], ids=["as wide in the file", "told once in the file"])
def test_memory_is_that_of_a_chunk_however_wide_a_row_is(
    spec_of: Callable[[str], Spec], tmp_path: Path, n_texts: int
) -> None:
    texts = [f"{at % n_texts:09d}" * 1_000 for at in range(4_000)]
    pq.write_table(pa.table({"customer_id": [f"C{at}" for at in range(4_000)], "note": texts}), tmp_path / "in.parquet")
    for skip in (0, 1_000):
        chunks = list(ParquetRows(tmp_path / "in.parquet", spec_of("string"), extra=True).read(skip).chunks)
        assert [place for chunk in chunks for place in chunk.places] == list(range(skip + 1, 4_001))
        assert [key for chunk in chunks for key in chunk.request.instances.keys[0]] == [
            f"C{at}" for at in range(skip, 4_000)
        ]
        assert max(sum(column.nbytes for column in chunk.sent.columns().values()) for chunk in chunks) < 25 << 20
        assert chunks[-1].share == 1.0


def test_a_chunk_of_csv_holds_a_million_cells_at_most(
    spec_of: Callable[[str], Spec], tmp_path: Path, wake: Wake
) -> None:
    head = ",".join(["customer_id", *(f"x{at}" for at in range(4_095))])
    (tmp_path / "in.csv").write_text(f"{head}\n" + f"C{',1' * 4_095}\n" * 600)
    chunks = CsvRows(tmp_path / "in.csv", spec_of("string"), extra=True, wake=wake, verbatim=True).read(50).chunks
    assert [(chunk.places[0], chunk.request.size) for chunk in chunks] == [(52, 256), (308, 256), (564, 38)]
