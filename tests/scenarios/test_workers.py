"""Several processes on one port: one that dies is replaced, all of them stop together."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest

Process = Callable[..., "subprocess.Popen[str]"]
PATIENCE_S = 30


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        found: int = free.getsockname()[1]
    return found


@pytest.fixture
def parent(process: Process, small_demo: Any, port: int) -> "subprocess.Popen[str]":
    """A service of two workers that has said that it serves."""
    begun = process(
        *("--port", str(port), "--workers", "2", "--drain-s", "0"),
        KEYSCORE_BUNDLE=str(small_demo.bundle),
        KEYSCORE_SQLITE_PATH=str(small_demo.store),
    )
    assert "Keyscore serves" in line_with(begun, "Keyscore")
    return begun


def line_with(begun: "subprocess.Popen[str]", text: str) -> str:
    """The next line of its output that holds `text`."""
    assert begun.stdout is not None
    for line in begun.stdout:
        if text in line:
            return line
    raise AssertionError(f"it ended without saying {text!r}")


def workers(begun: "subprocess.Popen[str]") -> set[int]:
    children = psutil.Process(begun.pid).children()
    return {one.pid for one in children if "resource_tracker" not in " ".join(one.cmdline())}


def asked(port: int, path: str) -> tuple[int, Any]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_a_killed_worker_is_replaced_while_the_port_stays_open(parent: "subprocess.Popen[str]", port: int) -> None:
    before = workers(parent)
    assert len(before) == 2
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    assert f"worker {victim} ended with exit code -9" in line_with(parent, "takes its place")
    after = workers(parent)
    assert len(after) == 2
    assert len(after & before) == 1
    assert asked(port, "/readyz") == (200, {"status": "ready"})


def test_a_signal_to_stop_stops_all_and_is_no_failure(parent: "subprocess.Popen[str]") -> None:
    running = [psutil.Process(pid) for pid in workers(parent)]
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(PATIENCE_S) == 0
    assert psutil.wait_procs(running, PATIENCE_S)[1] == []


def test_workers_end_when_their_parent_is_killed(parent: "subprocess.Popen[str]") -> None:
    running = [psutil.Process(pid) for pid in workers(parent)]
    parent.kill()
    assert psutil.wait_procs(running, PATIENCE_S)[1] == []


def test_one_of_many_has_no_metrics_of_all_and_says_what_to_do(parent: "subprocess.Popen[str]", port: int) -> None:
    assert parent.poll() is None
    status, problem = asked(port, "/metrics")
    assert status == 404
    assert problem["detail"] == "a scrape reaches one of 2 workers; push with KEYSCORE_OTLP_ENDPOINT"


def test_what_no_worker_can_start_ends_at_once(process: Process, tmp_path: Path) -> None:
    begun = process("--port", "0", "--workers", "2", KEYSCORE_BUNDLE=str(tmp_path / "nowhere"))
    said, _ = begun.communicate(timeout=PATIENCE_S)
    assert begun.returncode == 1
    assert "keyscore cannot start: a worker could not start" in said
