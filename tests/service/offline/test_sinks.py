"""A part is finished when it has its rows or its time; the output is there as a whole or not at all."""

import fcntl
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.clock import ManualClock
from service.errors import JobRefused
from service.offline.formats import OutputFormat
from service.offline.parts import Parts
from service.offline.sinks import PART_S, Destination, PartsSink
from service.offline.totals import Totals

JOB = {"input": {"size": 1}, "options": {"on_error": "null", "detailed": False}}


def sink_of(
    parts: Parts, folder: Path, clock: ManualClock, file_format: OutputFormat = OutputFormat.JSONL
) -> PartsSink:
    destination = Destination(folder / "out", folder / "errors", file_format)
    return PartsSink(parts, destination, clock, part_rows=10, part_bytes=1_000)


def test_a_part_of_wide_rows_is_finished_by_its_bytes(tmp_path: Path, clock: ManualClock) -> None:
    parts = Parts(tmp_path / "parts")
    with parts.held():
        parts.begin(JOB)
        sink = sink_of(parts, tmp_path, clock)
        sink.begin(None)
        for size in (999, 1, 500, 1_000):
            sink.write(b"x" * size, b"", Totals(rows=1))
        sink.write(b"", b"e" * 1_000, Totals(rows=1))
        assert [one.rows for one in parts.finished] == [2, 2, 1]
        sink.close()
        parts.begin(JOB)
    table = pa.table({"x": list(range(60))})
    with (again := Parts(tmp_path / "parts")).held():
        again.begin(JOB)
        sink = sink_of(again, tmp_path, clock, OutputFormat.PARQUET)
        sink.begin(table.schema)
        for _ in range(5):
            sink.write(table, b"", Totals(rows=1))
        assert [one.rows for one in again.finished] == [3]
        sink.finish()
    assert pq.read_table(tmp_path / "out").num_rows == 300


def test_a_part_has_its_rows_or_its_time(tmp_path: Path, clock: ManualClock) -> None:
    parts = Parts(tmp_path / "parts")
    with parts.held():
        parts.begin(JOB)
        sink = sink_of(parts, tmp_path, clock)
        sink.begin(None)
        for rows, passing_s in ((9, 0), (1, 0), (3, PART_S), (1, PART_S), (4, 0)):
            clock.advance(passing_s)
            sink.write(b"%d\n" % rows, b"", Totals(rows=rows))
        assert [one.rows for one in parts.finished] == [10, 4]
        assert not (tmp_path / "out").exists()
        sink.finish()
    assert (tmp_path / "out").read_bytes() == b"9\n1\n3\n1\n4\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_what_is_finished_outlives_its_process_and_nothing_else_does(tmp_path: Path, clock: ManualClock) -> None:
    parts = Parts(tmp_path / "parts")
    with parts.held():
        parts.begin(JOB)
        sink = sink_of(parts, tmp_path, clock)
        sink.begin(None)
        sink.write(b"a\n", b"why\n", Totals(rows=10, failed=1, oldest_age_s=5.0))
        sink.write(b"b\n", b"", Totals(rows=5))
        sink.close()
    again = Parts(tmp_path / "parts")
    with again.held():
        again.resume(JOB)
        assert again.finished == [Totals(rows=10, failed=1, oldest_age_s=5.0)]
        sink = sink_of(again, tmp_path, clock)
        sink.begin(None)
        sink.write(b"c\n", b"", Totals(rows=5))
        sink.finish()
    assert (tmp_path / "out").read_bytes() == b"a\nc\n"
    assert (tmp_path / "errors").read_bytes() == b"why\n"


def test_a_job_without_a_finished_part_leaves_nothing(tmp_path: Path, clock: ManualClock) -> None:
    parts = Parts(tmp_path / "parts")
    with parts.held():
        parts.begin(JOB)
        sink = sink_of(parts, tmp_path, clock)
        sink.begin(None)
        sink.write(b"a\n", b"", Totals(rows=1))
        sink.close()
    assert list(tmp_path.iterdir()) == []


def test_files_of_somebody_else_stay(tmp_path: Path) -> None:
    theirs = ["joined-table", "mine", "part-00000", "part-00000-6a1b.c000.csv", "part-00001.parquet", "part-1.csv"]
    (tmp_path / "parts" / "part-00002.csv").mkdir(parents=True)
    for name in theirs:
        (tmp_path / "parts" / name).touch()
    parts = Parts(tmp_path / "parts")
    with parts.held():
        parts.begin(JOB)
        parts.finish(0, Totals(rows=1), ())
        parts.finish_all()
        parts.clear()
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == sorted([*theirs, "part-00002.csv"])


def test_a_lock_that_was_taken_away_meanwhile_holds_nobody_off_and_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts(tmp_path / "parts")
    monkeypatch.setattr(fcntl, "flock", lambda *_: (tmp_path / "parts" / "lock").unlink())
    with pytest.raises(JobRefused, match="another process is at work"), parts.held():
        raise AssertionError("it must not begin")


def test_what_differs_is_said(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "parts")
    with parts.held():
        parts.begin(JOB)
        parts.finish(0, Totals(rows=1), ())
        other = {"input": {"size": 2}, "options": {"on_error": "skip", "detailed": False}}
        with pytest.raises(JobRefused, match=r"input size was 1, is 2; options on_error was null, is skip; ask for"):
            Parts(tmp_path / "parts").resume(other)


def test_totals_add_up() -> None:
    totals = Totals(1, 1, 1, 1, 1, None)
    totals.add(Totals(1, 2, 3, 4, 5, 7.0))
    totals.add(Totals(0, 0, 0, 0, 0, 6.0))
    assert totals == Totals(2, 3, 4, 5, 6, 7.0)
