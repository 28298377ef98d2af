"""Progress is a bar on a terminal and plain lines elsewhere; results never go where progress goes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("id,a\n" + "".join(f"{n},{n}\n" for n in range(12_000)))
    return path


def test_plain_lines_where_there_is_no_terminal(
    keyscore: Callable, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.cli.console._LINE_EVERY_S", 0.0)
    outcome = keyscore("load", "v", rows, "--key", "id")
    lines = outcome.err.splitlines()
    assert len(lines) == 6  # three batches, walked twice
    assert lines[0].startswith("reading rows.csv: 5,000 rows, ")
    assert lines[-1].startswith("loading v: 12,000 rows, 100%, ")
    assert lines[-1].endswith(" rows/s")
    assert "\x1b" not in outcome.err


def test_a_bar_on_a_terminal(rows: Path, tmp_path: Path) -> None:
    terminal, there = os.openpty()
    command = [Path(sys.executable).with_name("keyscore"), "load", "v", rows.name, "--key", "id"]
    done = subprocess.run(  # noqa: S603  # our own words
        command, stdout=subprocess.PIPE, stderr=there, cwd=tmp_path, env={**os.environ, "TERM": "xterm"}, check=False
    )
    os.close(there)
    seen = os.read(terminal, 1_000_000).decode()
    os.close(terminal)
    assert done.returncode == 0
    assert "loading v" in seen
    assert "rows/s" in seen
    assert "\x1b[" in seen
    assert b"\x1b" not in done.stdout
