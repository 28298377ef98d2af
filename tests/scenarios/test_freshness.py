"""A changed value is served within its bounds, and callers may ask for tighter ones."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from shutil import copy
from typing import Any

import httpx
import pytest

from features.clock import ManualClock
from features.stores.memory import MemoryStore
from features.stores.sqlite_writer import SqliteWriter
from service.settings import Platform, Settings
from service.wiring import running_service

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[httpx.AsyncClient]]
Settle = Callable[[], Awaitable[None]]
GOOD = ["C1", "M1", 12.5]


async def ask(client: httpx.AsyncClient, *instances: Any, **parameters: Any) -> list[Any]:
    sent = {"instances": instances or [GOOD], "parameters": parameters}
    answer = await client.post("/predict/detailed", json=sent)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["predictions"]
    return found


async def balance(client: httpx.AsyncClient, **parameters: Any) -> tuple[Any, str, float]:
    """The balance that was used, where it came from, and how long ago it was read."""
    told = (await ask(client, **parameters))[0]["features"]["balance"]
    return told["value"], told["source"], told["cached_s"]


@pytest.fixture
async def client(serve: Serve, shop: Callable[..., Path], goods: MemoryStore) -> httpx.AsyncClient:
    return await serve(shop(), goods)


async def test_within_the_ttl_one_read_serves_everybody(
    client: httpx.AsyncClient, goods: MemoryStore, clock: ManualClock
) -> None:
    assert await balance(client) == (80.0, "store", 0.0)
    clock.advance(1.5)
    assert await balance(client) == (80.0, "cache", 1.5)
    assert len(goods.reads) == 3  # one for each view


async def test_one_request_reads_its_distinct_keys_once(client: httpx.AsyncClient, goods: MemoryStore) -> None:
    await ask(client, GOOD, ["C2", "M1", 1], GOOD, ["C2", "M1", 2])
    assert sorted((read.view, read.keys) for read in goods.reads) == [
        ("account", ("C1", "C2")),
        ("activity", ("C1", "C2")),
        ("risk", ("M1",)),
    ]


async def test_a_changed_value_is_served_within_ttl_and_stale_while_revalidate(
    client: httpx.AsyncClient, goods: MemoryStore, clock: ManualClock, settle: Settle
) -> None:
    await balance(client)
    goods.put("account", "C1", {"balance": 5.0, "city": "a"}, clock.wall())
    clock.advance(5)
    assert await balance(client) == (80.0, "stale", 5.0)
    await settle()
    assert await balance(client) == (5.0, "cache", 0.0)
    goods.put("account", "C1", {"balance": 6.0, "city": "a"}, clock.wall())
    clock.advance(12)
    assert await balance(client) == (6.0, "store", 0.0)


async def test_max_cached_0_reads_anew_for_this_request(
    client: httpx.AsyncClient, goods: MemoryStore, clock: ManualClock
) -> None:
    await balance(client)
    goods.put("account", "C1", {"balance": 5.0, "city": "a"}, clock.wall())
    clock.advance(0.5)
    assert await balance(client, max_cached_s=1) == (80.0, "cache", 0.5)
    assert await balance(client, max_cached_s=0) == (5.0, "store", 0.0)
    assert await balance(client) == (5.0, "cache", 0.0)


async def test_max_cached_0_does_not_join_a_read_that_began_before(
    client: httpx.AsyncClient, goods: MemoryStore, clock: ManualClock, until: Callable[..., Awaitable[None]]
) -> None:
    goods.hold()
    earlier = asyncio.create_task(balance(client))
    await until(lambda: goods.under_way == 3)
    goods.put("account", "C1", {"balance": 5.0, "city": "a"}, clock.wall())
    clock.advance(0.1)
    later = asyncio.create_task(balance(client, max_cached_s=0))
    await until(lambda: goods.under_way == 6)
    goods.release()
    assert (await earlier)[0] == 80.0
    assert (await later)[0] == 5.0


async def test_an_age_is_counted_from_the_event(client: httpx.AsyncClient, clock: ManualClock) -> None:
    assert (await ask(client))[0]["features"]["balance"]["age_s"] == 100
    clock.step_wall(3600)
    assert (await ask(client))[0]["features"]["balance"]["age_s"] == 3700
    clock.step_wall(-10_000)
    assert (await ask(client))[0]["features"]["balance"]["age_s"] == 0


async def test_max_age_of_the_caller_refuses_older_values(
    client: httpx.AsyncClient, problem_of: Callable[[httpx.Response], dict[str, Any]]
) -> None:
    await ask(client, max_age_s=100)
    answer = await client.post("/predict", json={"instances": [GOOD], "parameters": {"max_age_s": 99}})
    assert answer.status_code == 422
    document = problem_of(answer)
    assert document["type"].endswith("feature-absent")
    assert (document["index"], document["feature"], document["view"]) == (0, "balance", "account")


async def test_max_age_of_the_view_may_let_a_default_stand_in(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock
) -> None:
    default = ", default: 50, absent: {too_old: default}"
    client = await serve(shop(risk=", max_age: 1h", rate=default), goods)
    assert (await ask(client))[0]["features"]["rate"]["value"] == 33.0
    clock.step_wall(3600)
    answer = await client.post("/predict/detailed", json={"instances": [GOOD]})
    told = answer.json()["predictions"][0]["features"]["rate"]
    assert (told["value"], told["status"], told["source"], told["age_s"]) == (50, "OUTSIDE_MAX_AGE", "default", 3700)
    assert answer.headers["x-keyscore-defaulted"] == "1"


async def test_after_a_put_score_and_story_change_and_a_restart_is_as_ready_as_before(
    serve: Serve, small_demo: Any, tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "store.sqlite"
    copy(small_demo.store, path)
    client = await serve(small_demo.bundle, sqlite_path=path)
    instance = {"customer_id": "C00017", "merchant_id": "M00042", "amount": 180.0, "channel": "online"}
    before = (await ask(client, instance))[0]
    with SqliteWriter(path, clock) as writer:
        writer.put("customer_account", "C00017", {"balance": 1.0})
    clock.advance(2 + 10)  # ttl + stale_while_revalidate
    after = (await ask(client, instance))[0]
    assert before["features"]["balance"]["value"] != 1.0
    assert after["features"]["balance"]["value"] == 1.0
    assert after["features"]["balance"]["age_s"] == 12
    assert after["features"]["credit_limit"]["value"] == before["features"]["credit_limit"]["value"]
    assert after["scores"] != before["scores"]
    settings = Settings(bundle=str(small_demo.bundle), sqlite_path=path)
    async with running_service(settings, Platform(), clock=clock) as again:
        assert again.ready
    restarted = await serve(small_demo.bundle, sqlite_path=path)
    assert (await ask(restarted, instance))[0]["scores"] == after["scores"]


@pytest.mark.parametrize("days", [30, 400])
async def test_the_demo_starts_and_answers_with_the_clock_ahead(serve: Serve, small_demo: Any, days: int) -> None:
    ahead = ManualClock(wall=time.time() + days * 86_400)
    client = await serve(small_demo.bundle, sqlite_path=small_demo.store, clock=ahead)
    assert (await client.get("/readyz")).status_code == 200
    instance = {"customer_id": "C00017", "merchant_id": "M00042", "amount": 180.0, "channel": "online"}
    (told,) = await ask(client, instance)
    assert told["degraded"] == 0
    assert 0 < told["scores"][1] < 1
