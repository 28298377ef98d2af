"""When the store fails or hangs, or too much comes at once: a usable stale row, flagged, or an honest refusal."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.clock import ManualClock
from features.deadline import Deadline
from features.errors import StoreDenied, StoreTimeout, StoreUnavailable
from features.spec import FeatureView
from features.stores.base import ReadAnswer
from features.stores.memory import MemoryStore
from features.values import EntityKey

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[httpx.AsyncClient]]
Until = Callable[[Callable[[], bool]], Awaitable[None]]
ProblemOf = Callable[[httpx.Response], dict[str, Any]]
Allowed = tuple[dict[str, float], float]
GOOD = ["C1", "M1", 12.5]
DEFAULTED = ", default: 12, absent: {error: default}"


@pytest.fixture
async def client(serve: Serve, shop: Callable[..., Path], goods: MemoryStore) -> httpx.AsyncClient:
    return await serve(shop(), goods)


async def post(client: httpx.AsyncClient, *instances: Any, path: str = "/predict", **parameters: Any) -> httpx.Response:
    return await client.post(path, json={"instances": instances or [GOOD], "parameters": parameters})


async def test_beyond_its_stale_window_a_row_survives_an_outage_and_is_flagged(
    client: httpx.AsyncClient, goods: MemoryStore, clock: ManualClock
) -> None:
    await post(client)
    clock.advance(60)
    goods.fail(StoreUnavailable("down"), reads=3)
    answer = await post(client, path="/predict/detailed")
    assert answer.status_code == 200
    assert answer.headers["x-keyscore-degraded"] == "4"  # balance, city, visits, rate
    told = answer.json()["predictions"][0]
    assert told["degraded"] == 4
    assert (told["features"]["balance"]["source"], told["features"]["balance"]["cached_s"]) == ("stale", 60)
    assert 'keyscore_values_substituted_total{kind="degraded"} 4.0' in (await client.get("/metrics")).text


async def test_a_row_within_stale_while_revalidate_is_no_degradation(
    client: httpx.AsyncClient, goods: MemoryStore, clock: ManualClock
) -> None:
    await post(client)
    clock.advance(5)
    goods.fail(StoreUnavailable("down"), reads=3)
    answer = await post(client)
    assert answer.status_code == 200
    assert "x-keyscore-degraded" not in answer.headers


async def test_who_forbids_degraded_values_gets_503_instead(
    client: httpx.AsyncClient, goods: MemoryStore, clock: ManualClock, problem_of: ProblemOf
) -> None:
    await post(client)
    assert (await post(client, on_degraded="fail")).status_code == 200
    clock.advance(60)
    goods.fail(StoreUnavailable("down"), reads=3)
    answer = await post(client, on_degraded="fail")
    assert answer.status_code == 503
    assert problem_of(answer)["type"].endswith("features-degraded")


async def test_after_stale_if_error_the_outage_is_the_answer(
    client: httpx.AsyncClient, goods: MemoryStore, clock: ManualClock, problem_of: ProblemOf
) -> None:
    await post(client)
    clock.advance(303)
    goods.fail(StoreUnavailable("down"), reads=3)
    answer = await post(client)
    assert answer.status_code == 503
    assert problem_of(answer)["type"].endswith("features-unavailable")
    assert (await post(client)).status_code == 200  # the failure is remembered by nobody


@pytest.mark.parametrize(("error", "status"), [(StoreUnavailable("down"), 503), (StoreTimeout("slow"), 504)])
async def test_an_outage_fails_the_request_whatever_on_error_says(
    client: httpx.AsyncClient, goods: MemoryStore, problem_of: ProblemOf, error: Any, status: int
) -> None:
    for on_error in ("fail", "null"):
        goods.fail(error, reads=3)
        answer = await post(client, on_error=on_error)
        assert answer.status_code == status
        problem_of(answer)


async def test_a_store_that_refuses_us_is_502_or_null_in_the_instances_place(
    client: httpx.AsyncClient, goods: MemoryStore
) -> None:
    goods.fail(StoreDenied("no"), reads=3)
    assert (await post(client)).status_code == 502
    goods.fail(StoreDenied("no"), reads=3)
    assert (await post(client, on_error="null")).json() == {"predictions": [None]}


async def test_a_feature_whose_policy_is_a_default_is_substituted_and_flagged(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore
) -> None:
    client = await serve(shop(rate=DEFAULTED), goods)
    goods.spoil("risk", "M1", StoreUnavailable("down"))
    answer = await post(client, path="/predict/detailed")
    told = answer.json()["predictions"][0]
    rate = told["features"]["rate"]
    assert (rate["value"], rate["status"], rate["source"], rate["cached_s"]) == (12, "ERROR", "default", None)
    assert (answer.headers["x-keyscore-degraded"], told["degraded"]) == ("1", 1)
    assert "x-keyscore-defaulted" not in answer.headers


@pytest.mark.parametrize("allowed", [({}, 0.8), ({"timeout_ms": 100}, 0.08)], ids=str)
async def test_a_store_that_hangs_is_504_at_the_features_share_of_the_deadline(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore, until: Until, allowed: Allowed
) -> None:
    parameters, waits_s = allowed
    clock = ManualClock()
    client = await serve(shop(), goods, clock=clock)
    goods.hold()
    asked = asyncio.create_task(post(client, **parameters))
    await until(lambda: goods.under_way == 3)
    clock.advance(waits_s - 0.001)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not asked.done()
    clock.advance(0.002)  # past it, whatever the floats were rounded to
    answer = await asked
    assert answer.status_code == 504
    assert answer.json()["type"].endswith("deadline-exceeded")


async def test_a_longer_budget_does_not_make_a_read_that_hangs_take_longer(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore, until: Until
) -> None:
    clock = ManualClock()
    client = await serve(shop(), goods, clock=clock)
    goods.hold()
    asked = asyncio.create_task(post(client, timeout_ms=50_000))
    await until(lambda: goods.under_way == 3)
    clock.advance(0.801)
    answer = await asked
    assert answer.status_code == 504
    assert answer.json()["type"].endswith("features-timeout")


async def test_a_store_that_hangs_is_outlived_by_a_stale_row(
    client: httpx.AsyncClient, goods: MemoryStore, clock: ManualClock, until: Until
) -> None:
    await post(client)
    clock.advance(60)
    goods.hold()
    asked = asyncio.create_task(post(client))
    await until(lambda: goods.under_way == 3)
    clock.advance(0.801)
    answer = await asked
    assert answer.status_code == 200
    assert answer.headers["x-keyscore-degraded"] == "4"


async def test_what_is_ready_to_be_scored_too_late_is_not_scored(
    client: httpx.AsyncClient, goods: MemoryStore, clock: ManualClock, until: Until, problem_of: ProblemOf
) -> None:
    await post(client)
    clock.advance(60)
    goods.hold()
    asked = asyncio.create_task(post(client))
    await until(lambda: goods.under_way == 3)
    clock.advance(1.001)  # past the deadline itself: the stale rows come too late
    answer = await asked
    assert answer.status_code == 504
    assert "before scoring" in problem_of(answer)["detail"]


async def test_one_request_more_than_the_limit_is_shed_at_once(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore, until: Until, problem_of: ProblemOf
) -> None:
    client = await serve(shop(), goods, max_in_flight=1)
    goods.hold()
    asked = asyncio.create_task(post(client))
    await until(lambda: goods.under_way == 3)
    shed = await post(client)
    assert shed.status_code == 503
    assert problem_of(shed)["type"].endswith("overloaded")
    metrics = (await client.get("/metrics")).text
    assert 'keyscore_requests_in_flight{partition="interactive"} 1.0' in metrics
    assert 'keyscore_requests_shed_total{partition="interactive",reason="limit"} 1.0' in metrics
    goods.release()
    assert (await asked).status_code == 200
    assert (await post(client)).status_code == 200
    assert 'keyscore_requests_in_flight{partition="interactive"} 0.0' in (await client.get("/metrics")).text


async def test_a_client_that_gives_up_gives_its_place_back(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore, until: Until
) -> None:
    client = await serve(shop(), goods, max_in_flight=1)
    goods.hold()
    asked = asyncio.create_task(post(client))
    await until(lambda: goods.under_way == 3)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    goods.release()
    assert (await post(client)).status_code == 200


class Mistaken(MemoryStore):
    """A store with a programming error."""

    async def read(
        self,
        view: FeatureView,
        keys: Sequence[EntityKey],
        deadline: Deadline,  # noqa: ARG002  # the protocol's
    ) -> Mapping[EntityKey, ReadAnswer]:
        raise RuntimeError(f"a mistake while reading {keys} of {view.name}")


async def test_a_mistake_of_ours_is_a_bare_500_with_a_request_id(
    serve: Serve, shop: Callable[..., Path], problem_of: ProblemOf, caplog: pytest.LogCaptureFixture
) -> None:
    client = await serve(shop(), Mistaken())
    answer = await post(client)
    assert answer.status_code == 500
    document = problem_of(answer)
    assert document["type"].endswith("internal-error")
    assert "mistake while" not in answer.text
    [record] = [record for record in caplog.records if record.exc_info]
    assert vars(record)["request_id"] == document["request_id"]
    assert isinstance(record.exc_info[1], RuntimeError)
    assert (await client.get("/readyz")).status_code == 200
    assert (await post(client, 5)).status_code == 422
