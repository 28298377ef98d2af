"""A row that the model gives no finite score is that row's trouble: no neighbour's, and no other request's."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.clock import ManualClock
from features.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[httpx.AsyncClient]]
GOOD = ["C1", "M1", 12.5]
RICH = ["C3", "M1", 12.5]
STRANGER = ["C9", "M1", 12.5]
SIXTY_FOUR = [RICH if at == 17 else [f"C{1 + at % 2}", "M1", 12.5 + at] for at in range(64)]
PATHS = ("/predict", "/predict/detailed")


@pytest.fixture
async def client(
    serve: Serve, shop: Callable[..., Path], overflowing: Callable[..., bytes], goods: MemoryStore, clock: ManualClock
) -> httpx.AsyncClient:
    """Of C3 the balance is too much for the model, and visits are not known: their default is used."""
    goods.put("account", "C3", {"balance": 95.0, "city": "a"}, clock.wall() - 100)
    return await serve(shop(overflowing), goods)


async def post(client: httpx.AsyncClient, *instances: Any, path: str = "/predict", **parameters: Any) -> httpx.Response:
    return await client.post(path, json={"instances": instances, "parameters": parameters})


async def metric(client: httpx.AsyncClient, name: str) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return float(value)


@pytest.mark.parametrize("path", PATHS)
async def test_it_fails_the_request_by_its_index_where_nothing_else_is_asked_for(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await post(client, *SIXTY_FOUR, path=path)
    document = answer.json()
    assert (answer.status_code, document["type"]) == (422, "urn:keyscore:problem:score-not-finite")
    assert document["index"] == 17
    assert document["detail"] == "instance 17: the model gave a score that is not a finite number"
    assert "x-keyscore-defaulted" not in answer.headers
    assert "retry-after" not in answer.headers


async def test_its_63_neighbours_are_answered_as_without_it(client: httpx.AsyncClient) -> None:
    answer = await post(client, *SIXTY_FOUR, on_error="null")
    found = answer.json()["predictions"]
    others = (await post(client, *SIXTY_FOUR[:17], *SIXTY_FOUR[18:])).json()["predictions"]
    assert (answer.status_code, found[17]) == (200, None)
    assert found[:17] + found[18:] == others
    assert "x-keyscore-defaulted" not in answer.headers  # nothing was scored with the default of C3


async def test_in_detail_an_error_object_with_its_entity_stands_in_its_place(client: httpx.AsyncClient) -> None:
    answer = await post(client, *SIXTY_FOUR, path="/predict/detailed", on_error="null")
    simple = (await post(client, *SIXTY_FOUR, on_error="null")).json()["predictions"]
    found = answer.json()["predictions"]
    assert answer.status_code == 200
    assert [one.get("scores") for one in found] == simple
    told = found[17]
    assert told["entity_id"] == {"customer_id": "C3", "merchant_id": "M1"}
    assert (told["error"]["status"], told["error"]["index"]) == (422, 17)
    assert told["error"]["title"] == "The model gives no finite score"
    assert told["error"]["detail"] == "the model gave a score that is not a finite number"


async def test_it_keeps_its_place_among_instances_that_fail_for_other_reasons(client: httpx.AsyncClient) -> None:
    instances = [5, GOOD, STRANGER, RICH, ["C1", "M1", -1], GOOD, RICH]
    answer = await post(client, *instances, path="/predict/detailed", on_error="null")
    found = answer.json()["predictions"]
    kinds = [one["error"]["type"].rpartition(":")[2] if "error" in one else "scored" for one in found]
    wanted = ["invalid-instance", "scored", "entity-not-found", "score-not-finite"]
    assert kinds == [*wanted, "invalid-instance", "scored", "score-not-finite"]
    assert [one["error"]["index"] for one in found if "error" in one] == [0, 2, 3, 4, 6]


async def test_one_alone_answers_alike(client: httpx.AsyncClient) -> None:
    assert (await post(client, RICH)).json()["index"] == 0
    assert (await post(client, RICH, on_error="null")).json() == {"predictions": [None]}


async def test_a_request_that_is_cut_to_pieces_tells_of_all_of_them(client: httpx.AsyncClient) -> None:
    instances = [RICH if at in (0, 700, 1_499) else GOOD for at in range(1_500)]
    found = (await post(client, *instances, on_error="null")).json()["predictions"]
    assert [at for at, one in enumerate(found) if one is None] == [0, 700, 1_499]
    assert (await post(client, *instances)).json()["index"] == 0


async def test_a_request_at_the_same_moment_is_answered_as_ever_and_nothing_is_scored_twice(
    client: httpx.AsyncClient,
) -> None:
    usual = await post(client, GOOD)
    await post(client, RICH)  # now nobody has to wait for features
    calls, rows = await metric(client, "keyscore_scored_rows_count"), await metric(client, "keyscore_scored_rows_sum")
    failed, answered = await asyncio.gather(post(client, RICH), post(client, GOOD))
    assert (failed.status_code, answered.status_code) == (422, 200)
    assert answered.content == usual.content
    assert await metric(client, "keyscore_scored_rows_count") == calls + 1
    assert await metric(client, "keyscore_scored_rows_sum") == rows + 2
