"""Lines and records are instances as on the wire, in chunks of bounded size."""

import base64
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from features.spec import Spec
from service.errors import RowUnreadable
from service.offline.jsonl import JsonLines, TFRecords
from service.offline.streams import Wake
from service.offline.tfrecord import framed


@pytest.fixture
def wake() -> Iterator[Wake]:
    with closing(Wake()) as made:
        yield made


def test_a_long_line_makes_a_short_chunk(spec_of: Callable[[str], Spec], tmp_path: Path, wake: Wake) -> None:
    long = b'{"customer_id": "C1", "x": "' + b"y" * (9 << 20) + b'"}\n'
    (tmp_path / "in.jsonl").write_bytes(b'"C0"\n' + long * 3 + b'"C2"\n')
    source = JsonLines(tmp_path / "in.jsonl", spec_of("string"), extra=True, wake=wake)
    assert [chunk.request.size for chunk in source.read().chunks] == [3, 2]


def test_rows_are_passed_over_as_they_were_counted(spec_of: Callable[[str], Spec], tmp_path: Path, wake: Wake) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'\xef\xbb\xbf\n"C0"\n\n"C1"\n')
    source = JsonLines(tmp_path / "in.jsonl", spec_of("string"), extra=False, wake=wake)
    assert [list(chunk.places) for chunk in source.read().chunks] == [[2, 4]]
    assert [list(chunk.places) for chunk in source.read(1).chunks] == [[4]]


def test_what_lines_hold_becomes_columns(spec_of: Callable[[str], Spec], tmp_path: Path, wake: Wake) -> None:
    lines = [b'{"customer_id": 7, "merchant_id": "M", "amount": 12.34, "channel": "x", "more": 1}', b"oops", b'["C"]']
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    reading = JsonLines(tmp_path / "in.jsonl", spec_of("demo"), extra=True, wake=wake).read()
    (chunk,) = reading.chunks
    columns = pa.table(chunk.sent.columns())
    assert columns.schema == pa.schema(list(reading.schema.items()))
    assert columns.to_pylist()[1:] == [
        {"customer_id": None, "merchant_id": None, "amount": None, "channel": None, "instance": '"oops"'},
        {"customer_id": None, "merchant_id": None, "amount": None, "channel": None, "instance": '["C"]'},
    ]
    assert columns.column("customer_id")[0].as_py() == "7"
    assert columns.column("instance")[0].as_py() == lines[0].decode()
    assert isinstance(chunk.request.failures[1], RowUnreadable)
    assert not isinstance(chunk.request.failures[2], RowUnreadable)


@pytest.mark.parametrize("skip", [0, 2, 3, 5])
def test_rows_that_are_done_are_passed_over(
    spec_of: Callable[[str], Spec], tmp_path: Path, wake: Wake, skip: int
) -> None:
    keys = [f"C{at}" for at in range(5)]
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(key) + b"\n\n" for key in keys))
    (tmp_path / "in.tfrecord").write_bytes(b"".join(framed(key.encode()) for key in keys))
    for kind, name, place in ((JsonLines, "in.jsonl", 2), (TFRecords, "in.tfrecord", 1)):
        source = kind(tmp_path / name, spec_of("string"), extra=False, wake=wake, chunk_rows=2)
        chunks = list(source.read(skip).chunks)
        assert [key for chunk in chunks for key in chunk.request.instances.keys[0]] == keys[skip:]
        assert [at for chunk in chunks for at in chunk.places] == [at * place + 1 for at in range(5)][
            skip:
        ] or place == 1


def test_a_record_is_told_as_vertex_ai_hands_it_on(spec_of: Callable[[str], Spec], tmp_path: Path, wake: Wake) -> None:
    (tmp_path / "in.tfrecord").write_bytes(framed(b"C1\n"))
    (chunk,) = TFRecords(tmp_path / "in.tfrecord", spec_of("string"), extra=False, wake=wake).read().chunks
    assert chunk.request.instances.keys == (["C1"],)
    assert orjson.loads(chunk.sent.texts()[0]) == {"b64": base64.b64encode(b"C1\n").decode()}
