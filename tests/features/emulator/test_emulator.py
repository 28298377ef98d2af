"""The emulator as a whole: starting, ending, and running as a program."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from features.emulator import Emulator
from features.emulator.banner import banner
from features.emulator.emulator import run
from features.emulator.fault_rules import FaultRuleInvalid
from features.errors import StoreFileError

pytestmark = pytest.mark.anyio


async def test_a_missing_file_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(StoreFileError, match="does not exist"):
        async with Emulator(tmp_path / "nothing.sqlite"):
            pass


async def test_a_bad_rule_is_said_at_once(store_path: Path) -> None:
    with pytest.raises(FaultRuleInvalid, match="rule 1"):
        Emulator(store_path, faults=[{"kind": "lag"}])


async def test_a_chosen_port_is_used_and_free_again_afterwards(store_path: Path, connect: Any) -> None:
    async with Emulator(store_path, rest_port=None) as emulator:
        port = emulator.port
    for _ in range(2):
        async with Emulator(store_path, port=port, rest_port=None) as emulator:
            assert emulator.port == port
            client = connect(port)
            async with client.channel:
                await client.fetch()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_nothing_is_left_behind(store_path: Path, connect: Any) -> None:
    tasks, files = asyncio.all_tasks(), _open_files()
    async with Emulator(store_path) as emulator:
        client = connect(emulator.port)
        async with client.channel:
            await client.fetch()
            await client.stream()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
    assert _open_files() <= files + 2  # gRPC keeps its own pair to wake the loop


async def test_two_emulators_live_side_by_side(store_path: Path, connect: Any) -> None:
    async with Emulator(store_path, rest_port=None) as one, Emulator(store_path, rest_port=None) as two:
        client = connect(two.port)
        async with client.channel:
            await client.fetch()
        assert (one.reads.connections, two.reads.connections) == (0, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_run_serves_until_a_signal_says_stop(store_path: Path, number: signal.Signals) -> None:
    announced: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run(store_path, port=0, rest_port=0, latency_ms=1, announce=announced.set_result))
    text = await announced
    assert "KEYSCORE_STORE=vertex" in text
    os.kill(os.getpid(), number)
    await running


def test_the_banner_says_how_to_point_the_service_at_it() -> None:
    text = banner(8510, 8511)
    assert (
        "KEYSCORE_STORE=vertex KEYSCORE_VERTEX_ENDPOINT=localhost:8510 "
        "KEYSCORE_VERTEX_REST_ENDPOINT=localhost:8511 KEYSCORE_VERTEX_PLAINTEXT=1" in text
    )
    assert 'api_endpoint="http://localhost:8511"' in text
    assert """curl -X PUT localhost:8511/_emulator/faults -d '[{"kind": "latency", "ms": 20}]'""" in text
