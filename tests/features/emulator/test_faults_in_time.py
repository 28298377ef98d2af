"""Faults that come before the answer: latency, errors, black holes."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from features.clock import ManualClock
from features.emulator import Emulator

pytestmark = pytest.mark.anyio

Until = Callable[[Callable[[], bool]], Awaitable[None]]
KEYS = ["C1", "C2", "C3"]


class _RecordingClock(ManualClock):
    """Lets every wait pass at once, and notes how long it would have been."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    async def wait(self, futures: Any, until: float) -> None:  # noqa: ARG002  # the protocol's signature
        self.waits.append(round(until - self.monotonic(), 6))


async def test_latency_delays_the_answer(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "latency", "ms": 20, "method": "FetchFeatureValues"}])
    before = asyncio.get_running_loop().time()
    await client.fetch()
    assert asyncio.get_running_loop().time() - before >= 0.019
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await client.fetch(timeout_s=0.005)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(await client.stream()) == 1


async def test_latency_has_jitter_and_a_tail(store_path: Path, connect: Any) -> None:
    clock = _RecordingClock()
    rule = {"kind": "latency", "ms": 10, "jitter_ms": 5, "tail_share": 0.1, "tail_ms": 200}
    async with Emulator(store_path, rest_port=None, faults=[rule], clock=clock) as emulator:
        client = connect(emulator.port)
        async with client.channel:
            for _ in range(100):
                await client.fetch()
    tail = [wait for wait in clock.waits if wait >= 0.2]
    body = [wait for wait in clock.waits if wait < 0.2]
    assert 3 <= len(tail) <= 20
    assert 0.010 <= min(body) < max(body) <= 0.015


async def test_an_error_has_its_code_its_words_and_its_pushback(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "error", "code": "RESOURCE_EXHAUSTED", "message": "quota", "pushback_ms": 250}])
    for call in (client.fetch, client.stream):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.value.details() == "quota"
        assert dict(refused.value.trailing_metadata())["grpc-retry-pushback-ms"] == "250"


async def test_an_error_is_unavailable_unless_said_and_over_after_its_times(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "error", "times": 1}])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.fetch()
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    await client.fetch()


async def test_not_found_on_demand_has_the_services_words(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "error", "code": "NOT_FOUND"}])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.fetch()
    assert refused.value.details() == "Requested entity was not found."


@pytest.mark.parametrize("rule", [{"keys": ["C2"]}, {"per_key": True}])
async def test_in_a_stream_an_error_may_concern_keys_alone(
    emulator: Emulator, client: Any, rule: dict[str, Any]
) -> None:
    emulator.set_faults([{"kind": "error", "code": "INTERNAL", **rule}])
    failed, *answered = await client.stream(keys=KEYS)
    assert failed.status.code == 13
    hit = ["C2"] if "keys" in rule else KEYS
    assert sorted(key.key for key in failed.data_keys_with_error) == hit
    assert sum(len(message.data) for message in answered) == 3 - len(hit)


async def test_a_black_hole_answers_nothing_until_the_client_goes_away(emulator: Emulator, client: Any) -> None:
    await client.fetch()
    emulator.set_faults([{"kind": "black_hole"}])
    for call in (client.fetch, client.stream):
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await call(timeout_s=0.02)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    emulator.set_faults([])
    await client.fetch()


async def test_latency_ends_with_the_emulator_and_leaves_no_task(
    store_path: Path, connect: Any, settle: Callable[[], Awaitable[None]], until: Until
) -> None:
    before = asyncio.all_tasks()
    rules = [{"kind": "black_hole", "keys": ["C1"]}, {"kind": "latency", "ms": 60_000}]
    async with Emulator(store_path, rest_port=None, faults=rules) as emulator:
        client = connect(emulator.port)
        calls = [asyncio.create_task(client.fetch(key=key)) for key in ("C1", "C2")]
        await until(lambda: emulator.reads.messages.total() == 2)
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(outcome, grpc.aio.AioRpcError)
    await client.channel.close()
    await settle()
    assert asyncio.all_tasks() == before
