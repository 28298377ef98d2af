"""Orders to stop, as a platform and a keyboard give them to the real process: it always ends, and ends well."""

import re
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

Process = Callable[..., "subprocess.Popen[str]"]
PATIENCE_S = 20


@pytest.fixture
def start(process: Process, small_demo: Any) -> Process:
    """`start(*flags, **variables)`: a server over the demo on a free port."""
    paths = {"KEYSCORE_BUNDLE": str(small_demo.bundle), "KEYSCORE_SQLITE_PATH": str(small_demo.store)}
    return lambda *flags, **variables: process("--port", "0", *flags, **{**paths, **variables})


def ready_port(begun: "subprocess.Popen[str]") -> int:
    assert begun.stdout is not None
    found = re.search(r"on http://localhost:(\d+)", begun.stdout.readline())
    assert found
    return int(found[1])


def ended_well(begun: "subprocess.Popen[str]") -> None:
    said, _ = begun.communicate(timeout=PATIENCE_S)
    assert begun.returncode == 0
    assert "Traceback" not in said
    assert "ERROR" not in said


def test_it_says_that_it_stops_and_a_second_signal_ends_it(start: Process) -> None:
    begun = start("--drain-s", "5")
    port = ready_port(begun)
    with ExitStack() as stack:
        asked, idle = (stack.enter_context(closing(HTTPConnection("127.0.0.1", port, PATIENCE_S))) for _ in range(2))
        for connection in (asked, idle):
            connection.request("GET", "/readyz")
            assert connection.getresponse().read() == b'{"status":"ready"}'
        begun.send_signal(signal.SIGTERM)
        status = 200
        while status == 200:  # the signal is on its way
            asked.request("GET", "/readyz")
            answer = asked.getresponse()
            answer.read()
            status = answer.status
        assert status == 503
        assert answer.headers["connection"] == "close"
        begun.send_signal(signal.SIGTERM)
        assert idle.sock.recv(1) == b""
        ended_well(begun)


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGINT])
def test_half_open_connections_do_not_keep_it(start: Process, order: signal.Signals) -> None:
    begun = start("--drain-s", "0")
    port = ready_port(begun)
    halves = [
        b"",
        b"POST /pre",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GARBAGE\r\n\r\n",
    ]
    with ExitStack() as stack:
        for number in range(50):
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S))
            raw.sendall(halves[number % len(halves)])
        begun.send_signal(order)
        ended_well(begun)


SLOW_START = """
import asyncio
import sys
import service.wiring


async def never(*arguments):
    print("loading", flush=True)
    await asyncio.Event().wait()


service.wiring.load = never
from service.__main__ import main
from service.early_signals import stop_at_once

stop_at_once()
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGINT])
def test_an_order_to_stop_while_it_starts_is_no_failure(start: Process, tmp_path: Path, order: signal.Signals) -> None:
    (tmp_path / "slow_start.py").write_text(SLOW_START)
    begun = start(module="slow_start", PYTHONPATH=f"{tmp_path}:{Path(__file__).parents[2]}")
    assert begun.stdout is not None
    assert begun.stdout.readline() == "loading\n"
    begun.send_signal(order)
    ended_well(begun)
