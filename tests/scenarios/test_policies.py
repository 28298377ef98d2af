"""What is done about values that are absent: the spec's policies, the caller's parameters, and what the answer says."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.errors import StoreAnswerInvalid, StoreDenied
from features.stores.memory import MemoryStore
from service.settings import Platform

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[httpx.AsyncClient]]
ProblemOf = Callable[[httpx.Response], dict[str, Any]]
GOOD = ["C1", "M1", 12.5]
STRANGER = ["C9", "M1", 12.5]


@pytest.fixture
async def client(serve: Serve, shop: Callable[..., Path], goods: MemoryStore) -> httpx.AsyncClient:
    return await serve(shop(), goods)


async def post(client: httpx.AsyncClient, *instances: Any, path: str = "/predict", **parameters: Any) -> httpx.Response:
    return await client.post(path, json={"instances": instances, "parameters": parameters})


async def detail(client: httpx.AsyncClient, *instances: Any, **parameters: Any) -> list[Any]:
    answer = await post(client, *instances, path="/predict/detailed", **parameters)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["predictions"]
    return found


async def test_an_instance_that_cannot_be_scored_answers_null_in_its_place(
    client: httpx.AsyncClient,
) -> None:
    instances = [STRANGER, GOOD, 5, ["C1", "M1", -1], GOOD]
    answer = await post(client, *instances, on_error="null")
    assert answer.status_code == 200
    first, good, third, fourth, again = answer.json()["predictions"]
    assert (first, third, fourth) == (None, None, None)
    assert good == again == (await post(client, GOOD)).json()["predictions"][0]


async def test_in_detail_an_error_object_stands_in_its_place(client: httpx.AsyncClient) -> None:
    stranger, good, shapeless, negative = await detail(client, STRANGER, GOOD, 5, ["C1", "M1", -1], on_error="null")
    assert good["entity_id"] == {"customer_id": "C1", "merchant_id": "M1"}
    assert (stranger["error"]["status"], stranger["error"]["index"], stranger["error"]["view"]) == (404, 0, "account")
    assert (shapeless["error"]["status"], shapeless["error"]["index"]) == (422, 2)
    assert (negative["error"]["status"], negative["error"]["field"]) == (422, "amount")


async def test_where_no_instance_can_be_scored_there_is_an_answer_all_the_same(
    client: httpx.AsyncClient, goods: MemoryStore
) -> None:
    assert (await post(client, 5, None, on_error="null")).json() == {"predictions": [None, None]}
    assert goods.reads == []
    assert (await post(client, STRANGER, on_error="null")).json() == {"predictions": [None]}


async def test_substitutes_of_an_instance_that_is_not_answered_are_not_counted(client: httpx.AsyncClient) -> None:
    answer = await post(client, STRANGER, on_error="null")  # its visits would have been a default
    assert "x-keyscore-defaulted" not in answer.headers


async def test_a_declared_default_is_counted_and_told(client: httpx.AsyncClient, goods: MemoryStore) -> None:
    goods.remove("activity", "C1")
    goods.put("activity", "C2", {"visits": None})
    answer = await post(client, GOOD, ["C2", "M1", 1], path="/predict/detailed")
    assert answer.headers["x-keyscore-defaulted"] == "2"
    assert "x-keyscore-degraded" not in answer.headers
    absent, null = (one["features"]["visits"] for one in answer.json()["predictions"])
    assert (absent["value"], absent["status"], absent["source"]) == (0, "NOT_FOUND", "default")
    assert (null["value"], null["status"], null["source"]) == (0, "NULL", "default")


async def test_a_null_goes_in_as_missing_and_so_does_what_is_derived_from_it(
    client: httpx.AsyncClient, goods: MemoryStore
) -> None:
    goods.put("account", "C1", {"balance": None, "city": None})
    (told,) = await detail(client, GOOD)
    for name in ("balance", "city"):
        assert told["features"][name] | {"age_s": 0, "cached_s": 0} == {
            "value": None, "status": "NULL", "source": "missing", "age_s": 0, "cached_s": 0,
        }  # fmt: skip
    assert told["features"]["amount_to_balance"]["value"] is None
    assert told["features"]["amount_to_balance"]["status"] == "NULL"


async def test_the_policy_for_an_unknown_entity_may_be_a_default(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore
) -> None:
    client = await serve(shop(rate=", default: 12, absent: {not_found: default}"), goods)
    answer = await post(client, ["C1", "M9", 1], path="/predict/detailed")
    assert answer.headers["x-keyscore-defaulted"] == "1"
    told = answer.json()["predictions"][0]["features"]["rate"]
    assert (told["value"], told["status"], told["source"]) == (12, "NOT_FOUND", "default")


async def test_a_null_may_be_refused(serve: Serve, shop: Callable[..., Path], goods: MemoryStore) -> None:
    client = await serve(shop(balance=", absent: {'null': fail}"), goods)
    goods.put("account", "C1", {"balance": None, "city": "a"})
    answer = await post(client, GOOD)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "instance 0: 'balance' of 'account' is null"


@pytest.mark.parametrize("error", [StoreAnswerInvalid("x"), StoreDenied("x")])
async def test_an_answer_that_cannot_be_right_is_502_for_its_instance(
    client: httpx.AsyncClient, goods: MemoryStore, problem_of: ProblemOf, error: StoreAnswerInvalid | StoreDenied
) -> None:
    goods.spoil("account", "C2", error)
    answer = await post(client, GOOD, ["C2", "M1", 1])
    assert answer.status_code == 502
    assert problem_of(answer)["index"] == 1
    assert [
        one is None for one in (await post(client, GOOD, ["C2", "M1", 1], on_error="null")).json()["predictions"]
    ] == [
        False,
        True,
    ]


async def test_a_stored_value_of_another_type_is_502(
    client: httpx.AsyncClient, goods: MemoryStore, problem_of: ProblemOf
) -> None:
    goods.put("account", "C1", {"balance": "much", "city": "a"})
    answer = await post(client, GOOD)
    assert answer.status_code == 502
    assert "much" not in str(problem_of(answer))


async def test_a_key_that_the_answer_leaves_out_is_502(client: httpx.AsyncClient, goods: MemoryStore) -> None:
    goods.leave_out("risk", "M1")
    assert (await post(client, GOOD)).status_code == 502


@pytest.mark.parametrize(
    ("path", "response", "detailed"),
    [
        ("/predict", None, False),
        ("/predict", "detailed", True),
        ("/predict/detailed", None, True),
        ("/predict/detailed", "simple", False),
    ],
)
async def test_the_parameter_response_overrides_the_route(
    client: httpx.AsyncClient,
    path: str,
    response: str | None,
    detailed: bool,  # noqa: FBT001  # a column of the table
) -> None:
    parameters = {} if response is None else {"response": response}
    (found,) = (await post(client, GOOD, path=path, **parameters)).json()["predictions"]
    assert isinstance(found, dict) == detailed


async def test_the_routes_of_vertex_are_aliases(serve: Serve, shop: Callable[..., Path], goods: MemoryStore) -> None:
    route = "/v1/endpoints/123/deployedModels/456:predict"
    client = await serve(shop(), goods, platform=Platform(managed=True, predict_route=route, health_route="/v1/health"))
    expected = (await post(client, GOOD)).json()
    assert (await post(client, GOOD, path=route)).json() == expected
    assert (await post(client, GOOD, path=route, response="detailed")).json()["predictions"][0]["classes"] == ["0", "1"]
    assert (await client.get("/v1/health")).json() == {"status": "ready"}
    assert route not in (await client.get("/openapi.json")).text
    assert f'route="{route}",status="200"}} 2.0' in (await client.get("/metrics")).text
