"""The store stops, comes back, fails or is slow, with gRPC in between; and is no other store than the embedded one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest

from features.clock import SystemClock
from features.deadline import Deadline
from features.emulator import Emulator
from features.events import Event, ReadAttempted
from features.keys import KeyPart
from features.spec import Entity, FeatureView
from features.stores.guarded import GuardedStore, GuardLimits
from features.stores.vertex import VertexStore
from features.values import Column, DType, FeatureRow, RowLayout

pytestmark = pytest.mark.anyio

OverGrpc = Callable[..., Awaitable[httpx.AsyncClient]]
SOURCE = "projects/p/locations/us-central1/featureOnlineStores/s/featureViews/customer_account"


async def ask(client: httpx.AsyncClient, instances: Sequence[Any], path: str = "/predict") -> httpx.Response:
    return await client.post(path, json={"instances": list(instances)})


async def test_while_the_store_is_gone_warm_entities_are_answered_and_flagged_and_once_it_is_back_they_are_not(
    over_grpc: OverGrpc, demo_emulator: Emulator, demo_instances: Sequence[Any], shifted_clock: type[Any]
) -> None:
    clock = shifted_clock()
    client = await over_grpc(clock)
    warm = demo_instances[:40]
    before = (await ask(client, warm)).json()
    clock.shift(60)  # beyond stale-while-revalidate
    await demo_emulator.stop_serving()
    for one, expected in zip(warm, before["predictions"], strict=True):
        answer = await ask(client, [one])
        assert answer.status_code == 200
        assert int(answer.headers["x-keyscore-degraded"]) > 0
        assert answer.json()["predictions"] == [expected]
    assert (await ask(client, [demo_instances[40]])).status_code == 503

    await demo_emulator.start_serving()
    async with asyncio.timeout(5):  # it takes 0.5 s at most, gRPC's longest pause before it connects again
        while "x-keyscore-degraded" in (await ask(client, warm)).headers:  # noqa: ASYNC110  # each turn is a request
            await asyncio.sleep(0.02)
    assert (await ask(client, warm)).json() == before


async def test_a_store_that_is_all_unavailable_is_asked_hardly_more_than_once_per_request(
    over_grpc: OverGrpc, demo_emulator: Emulator, demo_instances: Sequence[Any]
) -> None:
    client = await over_grpc()
    demo_emulator.set_faults([{"kind": "error", "code": "UNAVAILABLE"}])
    for number in range(300):
        answer = await ask(client, [demo_instances[number % 100]])
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
    reads = 300 * len(("customer_account", "customer_activity", "merchant_risk"))
    assert demo_emulator.reads.messages.total() <= 1.10 * reads


class _Attempts:
    """An observer that keeps how attempts ended, by kind."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, str]] = []

    def observe(self, event: Event) -> None:
        if isinstance(event, ReadAttempted):
            self.outcomes.append((event.kind, event.outcome))


async def test_a_read_that_is_slow_by_accident_is_overtaken_by_its_hedge(
    demo_emulator: Emulator, demo_instances: Sequence[Any]
) -> None:
    view = FeatureView(
        "customer_account",
        Entity("customer", (KeyPart("customer_id"),)),
        RowLayout((Column("balance", DType.FLOAT),)),
        source=SOURCE,
    )
    attempts, clock = _Attempts(), SystemClock()
    vertex = VertexStore([view], None, endpoint=f"127.0.0.1:{demo_emulator.port}")
    store = GuardedStore(vertex, clock, attempts, replace(GuardLimits(), hedge_ratio=0.5))
    await store.open()
    key = demo_instances[0]["customer_id"]
    for _ in range(200):  # until it knows what is slow
        await store.read(view, [key], Deadline.after(60, clock))
    attempts.outcomes.clear()
    demo_emulator.set_faults([{"kind": "latency", "ms": 30_000, "times": 1}])
    answers = await store.read(view, [key], Deadline.after(60, clock))
    assert isinstance(answers[key], FeatureRow)
    assert attempts.outcomes == [("hedge", "ok")]
    await asyncio.sleep(0)  # the one that was overtaken lets go
    await store.aclose()


async def test_scores_are_those_of_the_embedded_store_bit_for_bit(
    serve: Callable[..., Awaitable[httpx.AsyncClient]],
    over_grpc: OverGrpc,
    small_demo: Any,
    demo_instances: Sequence[dict[str, Any]],
) -> None:
    customers = [one["customer_id"] for one in demo_instances]
    merchants = [one["merchant_id"] for one in demo_instances]
    instances = [
        {
            **demo_instances[number % len(demo_instances)],
            "customer_id": customers[number * 7 % len(customers)],
            "merchant_id": merchants[number * 11 % len(merchants)],
            "amount": number * 1.37,
        }
        for number in range(1_000)
    ]
    remote = await over_grpc(max_in_flight=1_000)
    embedded = await serve(small_demo.bundle, sqlite_path=small_demo.store, deadline_s=30.0)
    expected = (await ask(embedded, instances)).json()["predictions"]
    assert len({tuple(scores) for scores in expected}) > 500
    assert (await ask(remote, instances)).json()["predictions"] == expected
    alone = [(await ask(remote, [one])).json()["predictions"][0] for one in instances[:100]]
    assert alone == expected[:100]
    told = (await ask(remote, instances, "/predict/detailed")).json()["predictions"]
    assert [one["scores"] for one in told] == expected
