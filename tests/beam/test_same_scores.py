"""A pipeline gives the scores that the online route gives, bit by bit."""

import asyncio
import json
import random
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest

from features.clock import SystemClock
from features.emulator import Emulator
from model.beam.connecting import SqliteAddress, VertexAddress
from model.beam.contract import BundleContract
from model.beam.enrichment import Demands
from model.beam.prediction import Predict

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
def instances(small_demo: Any) -> list[dict[str, Any]]:
    """10,000 payments of known customers at known merchants, numbered by an undeclared member."""
    lines = [json.loads(line)["instance"] for line in (small_demo.bundle / "golden.jsonl").read_text().splitlines()]
    dice = random.Random(11)  # noqa: S311  # the same payments on every run
    return [
        {
            **dice.choice(lines),
            "merchant_id": dice.choice(lines)["merchant_id"],
            "amount": round(dice.lognormvariate(3, 1), 2),
            "row": row,
        }
        for row in range(10_000)
    ]


@pytest.fixture
async def online(serve: Serve, small_demo: Any, instances: Sequence[Any]) -> list[list[float]]:
    client = await serve(small_demo.bundle, sqlite_path=small_demo.store, clock=SystemClock(), deadline_s=60)
    body = {"instances": instances, "parameters": {"extra": "ignore"}}
    answer = await client.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    found: list[list[float]] = answer.json()["predictions"]
    return found


def by_row(predictions: Sequence[dict[str, Any]]) -> dict[int, list[float]]:
    return {one["instance"]["row"]: one["prediction"] for one in predictions}


async def test_ten_thousand_demo_instances_score_alike_online_and_on_beam(
    small_demo: Any, instances: Sequence[Any], online: Sequence[Any], predicted: Callable[..., Any]
) -> None:
    predict = Predict(
        BundleContract.of(str(small_demo.bundle)), SqliteAddress(small_demo.store), Demands(ignore_extra=True)
    )
    ran = predicted(instances, predict)
    assert ran.failures == []
    assert by_row(ran.predictions) == dict(enumerate(online))
    assert [one["instance"] for one in sorted(ran.predictions, key=lambda one: one["instance"]["row"])] == instances
    assert ran.counts["instances"] == 10_000
    assert ran.counts["keys_read"] < 10_000  # distinct ones, where every instance names three rows


@pytest.fixture
def emulator(small_demo: Any) -> Iterator[Emulator]:
    """An emulator on the demo's store, in a thread: a pipeline does not share this test's loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    running = Emulator(small_demo.store)
    asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result()
    yield running
    asyncio.run_coroutine_threadsafe(running.__aexit__(None, None, None), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def test_features_from_vertex_ai_give_the_same_scores_for_one_read_per_view_and_batch(
    small_demo: Any,
    instances: Sequence[Any],
    online: Sequence[Any],
    emulator: Emulator,
    predicted: Callable[..., Any],
) -> None:
    address = VertexAddress(f"127.0.0.1:{emulator.port}", f"127.0.0.1:{emulator.rest_port}", plaintext=True)
    demands = Demands(ignore_extra=True, batch_size=400)
    ran = predicted(instances[:2_000], Predict(BundleContract.of(str(small_demo.bundle)), address, demands))
    assert ran.failures == []
    assert by_row(ran.predictions) == dict(enumerate(online[:2_000]))
    assert emulator.reads.messages.total() == ran.counts["reads"] <= 3 * 5
