"""Many who want the same at the same moment cost the store one read."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest

from features.clock import ManualClock
from features.emulator import Emulator

pytestmark = pytest.mark.anyio

OverGrpc = Callable[..., Awaitable[httpx.AsyncClient]]
VIEWS = ("customer_account", "customer_activity", "merchant_risk")


async def flood(client: httpx.AsyncClient, instances: Sequence[Any]) -> list[Any]:
    """One request for each instance, all at once; their predictions."""
    answers = await asyncio.gather(*(client.post("/predict", json={"instances": [one]}) for one in instances))
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json()["predictions"][0] for answer in answers]


async def test_a_thousand_requests_for_one_cold_key_make_one_read(
    over_grpc: OverGrpc, demo_emulator: Emulator, demo_instances: Sequence[Any], clock: ManualClock
) -> None:
    client = await over_grpc(clock, max_in_flight=1_000, adaptive_limit=False)
    demo_emulator.set_faults([{"kind": "latency", "ms": 50}])
    scores = await flood(client, [demo_instances[0]] * 1_000)
    assert scores == [scores[0]] * 1_000
    for view in VIEWS:
        assert demo_emulator.reads.views[view].total() == 1
    assert demo_emulator.reads.messages.total() == len(VIEWS)


async def test_ten_thousand_requests_for_a_hundred_cold_keys_read_each_key_once(
    over_grpc: OverGrpc, demo_emulator: Emulator, demo_instances: Sequence[Any], clock: ManualClock
) -> None:
    client = await over_grpc(
        clock, max_in_flight=10_000, adaptive_limit=False
    )  # a clock that stands: on a slow machine no row gets stale
    wanted = demo_instances[:100]
    await flood(client, wanted * 100)
    for view, key in zip(VIEWS, ("customer_id", "customer_id", "merchant_id"), strict=True):
        assert dict(demo_emulator.reads.views[view]) == {one[key]: 1 for one in wanted}


async def test_a_hundred_cold_keys_of_one_request_are_one_streamed_message_per_view(
    over_grpc: OverGrpc, demo_emulator: Emulator, demo_instances: Sequence[Any]
) -> None:
    client = await over_grpc()
    answer = await client.post("/predict", json={"instances": demo_instances[:100]})
    assert answer.status_code == 200
    assert dict(demo_emulator.reads.messages) == {"StreamingFetchFeatureValues": len(VIEWS)}
    assert {view: keys.total() for view, keys in demo_emulator.reads.views.items()} == dict.fromkeys(VIEWS, 100)
    assert demo_emulator.reads.connections == 1


async def test_misses_of_concurrent_requests_share_a_message(
    over_grpc: OverGrpc, demo_emulator: Emulator, demo_instances: Sequence[Any]
) -> None:
    client = await over_grpc(max_in_flight=50)
    await flood(client, demo_instances[:50])
    assert demo_emulator.reads.messages.total() < 50  # of 150 reads
