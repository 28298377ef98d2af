"""The way down where everything hangs at once: it still ends by itself, and well, before the process would be killed.

Exit code 0 says so: where the end takes longer than the last resort allows, the process ends itself with 1.
"""

import asyncio
import fcntl
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest

from features.emulator import Emulator
from features.stores import sqlite
from service import logs, serving, tracing
from service.telemetry import push

pytestmark = pytest.mark.anyio

PATIENCE_S = 30
PAGE_BYTES = 4096
TICK_AND_PAUSE_S = 0.2
SPARE_S = 0.4


def test_all_bounds_together_leave_time_for_what_has_none() -> None:
    flush_s = max(push.BOUND_S, tracing.CLOSE_S) + sqlite.CLOSE_S + logs.CLOSE_S
    assert serving._STOP_S + TICK_AND_PAUSE_S + flush_s + SPARE_S <= serving._LAST_RESORT_S


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    """Its connections are taken, by the system, and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def start(
    process: Callable[..., "subprocess.Popen[str]"], small_demo: Any, demo_emulator: Emulator, collector: socket.socket
) -> Callable[[], "subprocess.Popen[str]"]:
    """A server over the emulator whose requests have a minute."""
    return lambda: process(
        *("--port", "0", "--deadline-s", "60", "--trace-ratio", "1", "--access-log", "all"),
        KEYSCORE_BUNDLE=str(small_demo.bundle),
        KEYSCORE_STORE="vertex",
        KEYSCORE_VERTEX_ENDPOINT=f"127.0.0.1:{demo_emulator.port}",
        KEYSCORE_VERTEX_PLAINTEXT="true",
        KEYSCORE_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.getsockname()[1]}",
    )


def ready_port(begun: "subprocess.Popen[str]") -> int:
    """Waits for the line that says where the service is."""
    assert begun.stdout is not None
    for line in begun.stdout:
        found = re.search(r"on http://localhost:(\d+)", line)
        if found:
            return int(found[1])
    raise AssertionError("it ended before it was ready")


async def test_with_store_collector_and_log_hanging_and_a_request_under_way_it_ends_with_0(
    start: Callable[[], "subprocess.Popen[str]"],
    demo_emulator: Emulator,
    demo_instances: Sequence[dict[str, Any]],
    collector: socket.socket,
) -> None:
    begun = start()
    port = await asyncio.to_thread(ready_port, begun)
    assert begun.stdout is not None
    fcntl.fcntl(begun.stdout, fcntl.F_SETPIPE_SZ, PAGE_BYTES)  # one line that nobody reads is enough to fill it
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
        assert (await client.post("/predict", json={"instances": [demo_instances[0]]})).status_code == 200
        demo_emulator.set_faults([{"kind": "black_hole"}])
        asked = asyncio.create_task(client.post("/predict", json={"instances": [demo_instances[1]]}))
        under_way = 'keyscore_requests_in_flight{partition="interactive"} 1.0'
        async with asyncio.timeout(PATIENCE_S):
            while under_way not in (await client.get("/metrics")).text:
                pass  # each turn is a request
        begun.send_signal(signal.SIGTERM)
        answer = await asked
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:keyscore:problem:not-ready")
    assert await asyncio.to_thread(begun.wait, PATIENCE_S) == 0
    assert "stopped" not in begun.stdout.read()  # the last line, which did not get out
    collector.settimeout(0)
    collector.accept()[0].close()  # somebody had tried to send
