import os
import subprocess
import sys
from pathlib import Path

from load_tests.alone import claimed


def test_one_run_has_the_machine_and_the_next_is_told_which(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with claimed(lock) as first, claimed(lock) as second:
        assert first is None
        assert second == f"another run (pid {os.getpid()}) is measuring on this machine: wait for its end"
    with claimed(lock) as third:
        assert third is None


def test_a_run_that_was_killed_holds_nobody_up(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    dies = f"""
import os, signal
from pathlib import Path
from load_tests.alone import claimed
with claimed(Path({str(lock)!r})) as taken:
    assert taken is None
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", dies], check=False)  # noqa: S603  # our own code
    assert ended.returncode == -9
    with claimed(lock) as taken:
        assert taken is None
