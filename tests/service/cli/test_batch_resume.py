"""A job that was stopped is resumed without losing or repeating a row."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 3_000
PART_ROWS = 250

_STOPPED = """\
import os, sys
from service.offline.parts import Parts
from service.cli.main import main

left, order, finish = int(sys.argv[1]), int(sys.argv[2]), Parts.finish

def counted(self, *arguments):
    global left
    if not left:  # the part's files are written, but it is not finished
        os.kill(os.getpid(), order)
    left -= 1
    finish(self, *arguments)

Parts.finish = counted
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture
def flags(small_demo: Any) -> tuple[str, ...]:
    paths = ("--bundle", str(small_demo.bundle), "--sqlite-path", str(small_demo.store))
    return (*paths, "--part-rows", str(PART_ROWS), "--on-error", "null")


@pytest.fixture
def rows(tmp_path: Path, small_demo: Any) -> list[dict[str, Any]]:
    """Rows of which every hundredth is of nobody; also in `in.jsonl`, `in.csv` and `in.parquet`."""
    lines = [json.loads(line)["instance"] for line in (small_demo.bundle / "golden.jsonl").read_text().splitlines()]
    made = [
        {**lines[at % len(lines)], "amount": at / 4, **({"customer_id": f"nobody{at}"} if at % 100 == 50 else {})}
        for at in range(ROWS)
    ]
    names = list(made[0])
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(one) + "\n\n" for one in made))
    cells = [",".join(names), *(",".join(str(one[name]) for name in names) for one in made)]
    (tmp_path / "in.csv").write_text("\n".join(cells) + "\n")
    pq.write_table(pa.Table.from_pylist(made), tmp_path / "in.parquet", row_group_size=700)
    return made


def stopped(parts: int, order: signal.Signals, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command that gets a signal when so many parts are finished and the next is being written."""
    line = [sys.executable, "-c", _STOPPED, str(parts), str(int(order)), *words]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603  # our own program


def comparable(path: Path) -> Any:
    return pq.read_table(path) if path.suffix == ".parquet" else path.read_bytes()


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("source", "target"), [("in.jsonl", "out.jsonl"), ("in.csv", "out.csv"), ("in.parquet", "out.parquet")]
)
def test_killed_five_times_and_resumed_it_is_as_if_nothing_had_happened(
    keyscore: Callable, tmp_path: Path, flags: tuple[str, ...], source: str, target: str
) -> None:
    whole = f"whole-{target}"
    assert keyscore("batch", source, whole, *flags).code == 3
    again: tuple[str, ...] = ()
    for parts in (3, 0, 1, 4, 2):
        done = stopped(parts, signal.SIGKILL, "batch", source, target, *flags, *again, cwd=tmp_path)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not (tmp_path / target).exists()
        again = ("--resume",)
    finished = len(list((tmp_path / f"{target}.parts").glob("part-*.json")))
    assert finished == 10
    outcome = keyscore("batch", source, target, *flags, "--resume")
    assert outcome.code == 3, outcome.err
    assert comparable(tmp_path / target) == comparable(tmp_path / whole)
    errors = (tmp_path / f"{target}.errors.jsonl").read_text()
    assert errors == (tmp_path / f"{whole}.errors.jsonl").read_text()
    assert [json.loads(line)["error"]["index"] for line in errors.splitlines()] == list(range(50, ROWS, 100))
    assert not (tmp_path / f"{target}.parts").exists()
    told = {line.split()[0]: line.split()[1] for line in outcome.out.splitlines() if line.strip()}
    assert told["rows"] == f"{ROWS:,}"
    assert told["failed"] == "30"


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("source", ["in.jsonl", "in.csv", "in.parquet"])
def test_a_job_that_is_resumed_with_parts_of_another_size_has_the_same_rows(
    keyscore: Callable, tmp_path: Path, flags: tuple[str, ...], source: str
) -> None:
    assert keyscore("batch", source, "whole.csv", *flags).code == 3
    assert stopped(3, signal.SIGKILL, "batch", source, "out.csv", *flags, cwd=tmp_path).returncode < 0
    assert keyscore("batch", source, "out.csv", *flags, "--resume", "--part-rows", 640).code == 3
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_an_interrupt_says_how_to_go_on(
    keyscore: Callable, tmp_path: Path, flags: tuple[str, ...], rows: list[Any]
) -> None:
    done = stopped(4, signal.SIGINT, "batch", "in.jsonl", "out.jsonl", *flags, cwd=tmp_path)
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
    assert "to go on, give the same command with --resume" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
    assert keyscore("batch", "in.jsonl", "out.jsonl", *flags, "--resume").code == 3
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == len(rows)


@pytest.fixture
def begun(tmp_path: Path, flags: tuple[str, ...], rows: list[Any]) -> Path:
    """The directory of a job that was killed."""
    assert rows
    assert stopped(2, signal.SIGKILL, "batch", "in.csv", "out.csv", *flags, cwd=tmp_path).returncode < 0
    return tmp_path / "out.csv.parts"


def test_a_job_that_was_begun_is_neither_repeated_nor_lost_unasked(
    keyscore: Callable, begun: Path, flags: tuple[str, ...]
) -> None:
    outcome = keyscore("batch", "in.csv", "out.csv", *flags)
    assert outcome.code == 2
    assert "holds a job that was begun: --resume goes on, --overwrite begins anew" in outcome.err
    assert len(list(begun.glob("part-*.json"))) == 2
    assert keyscore("batch", "in.csv", "out.csv", *flags, "--overwrite").code == 3


def test_another_job_is_not_resumed(
    keyscore: Callable, begun: Path, flags: tuple[str, ...], small_demo: Any, tmp_path: Path
) -> None:
    outcome = keyscore("batch", "in.csv", "out.csv", *flags, "--resume", "--detailed")
    assert outcome.code == 2
    assert "options detailed was False, is True" in outcome.err
    with (tmp_path / "in.csv").open("a") as file:
        file.write("\n")
    outcome = keyscore("batch", "in.csv", "out.csv", *flags, "--resume")
    assert outcome.code == 2
    assert "input size was" in outcome.err
    assert len(list(begun.glob("part-*.json"))) == 2
    assert small_demo


def test_another_input_of_the_same_size_and_time_is_not_resumed(
    keyscore: Callable, begun: Path, flags: tuple[str, ...], tmp_path: Path
) -> None:
    assert begun.is_dir()
    first, found = (tmp_path / "in.csv").read_bytes(), (tmp_path / "in.csv").stat()
    for other in (first[:-4] + b"same", first.replace(b"online", b"onlime", 1)):
        (tmp_path / "in.csv").write_bytes(other)
        os.utime(tmp_path / "in.csv", ns=(found.st_atime_ns, found.st_mtime_ns))
        outcome = keyscore("batch", "in.csv", "out.csv", *flags, "--resume")
        assert outcome.code == 2
        assert "out.csv.parts belongs to another job: input ends was" in outcome.err
    (tmp_path / "in.csv").write_bytes(first)
    os.utime(tmp_path / "in.csv", ns=(found.st_atime_ns, found.st_mtime_ns))
    assert keyscore("batch", "in.csv", "out.csv", *flags, "--resume").code == 3


def test_a_job_that_stopped_at_a_row_may_go_on_behind_it(
    keyscore: Callable, tmp_path: Path, flags: tuple[str, ...], rows: list[Any]
) -> None:
    outcome = keyscore("batch", "in.jsonl", "out.jsonl", *flags, "--on-error", "fail", "--part-rows", "10")
    assert outcome.code == 1
    assert "in.jsonl: line 101: 'customer_account' holds no row for this entity" in outcome.err
    assert keyscore("batch", "in.jsonl", "out.jsonl", *flags, "--resume").code == 3
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == len(rows)


def test_a_job_killed_between_its_last_row_and_its_output_is_only_put_in_place(
    keyscore: Callable, tmp_path: Path, flags: tuple[str, ...], rows: list[Any]
) -> None:
    script = _STOPPED.replace("Parts.finish = counted", "Parts.clear = lambda self: os.kill(os.getpid(), order)")
    line = [sys.executable, "-c", script, "0", str(int(signal.SIGKILL)), "batch", "in.csv", "out.csv", *flags]
    assert subprocess.run(line, cwd=tmp_path, capture_output=True, check=False).returncode < 0  # noqa: S603  # same
    assert (tmp_path / "out.csv").exists()
    before = (tmp_path / "out.csv").read_bytes()
    assert keyscore("batch", "in.csv", "out.csv", *flags, "--resume").code == 3
    assert (tmp_path / "out.csv").read_bytes() == before
    assert not (tmp_path / "out.csv.parts").exists()
    assert len(rows) == before.count(b"\n") - 1


def test_only_one_process_works_on_a_job(keyscore: Callable, begun: Path, flags: tuple[str, ...]) -> None:
    with (begun / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = keyscore("batch", "in.csv", "out.csv", *flags, "--resume")
    assert outcome.code == 2
    assert "another process is at work in" in outcome.err
    assert begun.is_dir()
