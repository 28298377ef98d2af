"""Faults of the connection, and a server that dies and comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from features.emulator import Emulator

pytestmark = pytest.mark.anyio

Until = Callable[[Callable[[], bool]], Awaitable[None]]


async def _code(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    code: grpc.StatusCode = refused.value.code()
    return code


@pytest.mark.parametrize("after_bytes", [0, 20])
async def test_a_reset_breaks_the_connection_within_the_answer(
    emulator: Emulator, client: Any, after_bytes: int
) -> None:
    emulator.set_faults([{"kind": "reset", "times": 1, "after_bytes": after_bytes}])
    assert await _code(client.fetch()) is grpc.StatusCode.UNAVAILABLE
    await client.recovered()
    assert emulator.reads.connections == 2
    emulator.set_faults([{"kind": "reset", "times": 1, "after_bytes": after_bytes}])
    assert await _code(client.stream()) is grpc.StatusCode.UNAVAILABLE


async def test_a_slow_drip_comes_byte_by_byte(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "slow_drip", "every_ms": 1, "bytes": 30, "chunk_bytes": 2, "times": 1}])
    before = asyncio.get_running_loop().time()
    await client.fetch()
    assert asyncio.get_running_loop().time() - before >= 0.013
    await client.fetch()
    assert emulator.reads.connections == 1


async def test_a_drip_too_slow_for_the_deadline_ends_when_the_faults_are_lifted(
    emulator: Emulator, client: Any
) -> None:
    await client.fetch()
    emulator.set_faults([{"kind": "slow_drip", "every_ms": 60_000}])
    assert await _code(client.fetch(timeout_s=0.02)) is grpc.StatusCode.DEADLINE_EXCEEDED
    emulator.set_faults([])
    await client.fetch()
    assert emulator.reads.connections == 1


async def test_a_client_may_leave_in_the_middle_of_a_drip(emulator: Emulator, connect: Any) -> None:
    emulator.set_faults([{"kind": "slow_drip", "every_ms": 60_000}])
    client = connect(emulator.port)
    async with client.channel:
        assert await _code(client.fetch(timeout_s=0.02)) is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("refuse", [False, True])
async def test_after_goaway_a_client_that_retries_connects_anew_and_loses_nothing(
    emulator: Emulator,
    connect: Any,
    refuse: bool,  # noqa: FBT001  # the fault's parameter
) -> None:
    client = connect(emulator.port, retries=True)
    async with client.channel:
        await client.fetch()
        emulator.set_faults([{"kind": "goaway", "refuse": refuse, "times": 1}])
        for _ in range(3):
            await client.fetch()
    assert emulator.reads.connections == 2


async def test_goaway_may_refuse_the_calls_under_way(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "goaway", "refuse": True, "times": 1}])
    assert await _code(client.fetch()) is grpc.StatusCode.UNAVAILABLE
    await client.recovered()
    assert emulator.reads.connections == 2


async def test_garbage_on_the_connection_ends_it(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "malformed", "level": "connection", "times": 1}])
    assert await _code(client.fetch()) is grpc.StatusCode.UNKNOWN
    await client.recovered()


async def test_a_stopped_server_refuses_and_a_started_one_has_the_same_port(emulator: Emulator, client: Any) -> None:
    await client.fetch()
    port = emulator.port
    await emulator.stop_serving()
    assert not emulator.serving
    assert await _code(client.fetch()) is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await emulator.stop_serving()
    await emulator.start_serving()
    await emulator.start_serving()
    assert emulator.serving
    assert emulator.port == port
    await client.recovered()


async def test_a_stop_breaks_the_calls_under_way(emulator: Emulator, client: Any, until: Until) -> None:
    emulator.set_faults([{"kind": "black_hole"}])
    calls = [asyncio.create_task(call()) for call in (client.fetch, client.stream)]
    await until(lambda: emulator.reads.messages.total() == 2)
    await emulator.stop_serving()
    for call in calls:
        assert await _code(call) is grpc.StatusCode.UNAVAILABLE


async def test_clients_that_vanish_between_two_messages_are_no_news(
    store_path: Path, connect: Any, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    async with Emulator(store_path, rest_port=None, keys_per_answer=1) as emulator:
        client = connect(emulator.port)
        async with client.channel:
            keys = [f"C{n}" for n in range(10)] * 50
            calls = [asyncio.create_task(client.stream(keys=keys)) for _ in range(8)]
            await until(lambda: emulator.reads.messages.total() == 8)
            await emulator.stop_serving()
            for outcome in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(outcome, grpc.aio.AioRpcError)
    assert not caplog.records


async def test_large_answers_pass_through_side_by_side(emulator: Emulator, connect: Any) -> None:
    emulator.set_faults([{"kind": "oversized", "bytes": 3_000_000}])
    client = connect(emulator.port)
    async with client.channel:
        many = await asyncio.gather(*(client.fetch(key=f"C{n}") for n in range(8)))
    assert {len(client.values(found)["_padding"]) for found in many} == {3_000_000}
    assert [client.values(found)["balance"] for found in many] == [n + 0.25 for n in range(8)]
