"""What is sensitive is used and never shown: not in an answer, not in an error, not at a terminal."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.clock import ManualClock
from features.errors import StoreAnswerInvalid, StoreUnavailable
from features.spec import DerivedFeature, Feature, RequestFeature, Spec, StoredFeature, sensitive_features
from features.stores.memory import MemoryStore
from features.transforms import BUILT_IN
from features.values import DType
from service.banner import banner, shown_instance
from service.settings import Platform, Settings
from service.wiring import running_service

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[httpx.AsyncClient]]
GOOD = ["C1", "M1", 12.5]
SENSITIVE = ", sensitive: true"


def stored(column: int, *, sensitive: bool = False) -> StoredFeature:
    return StoredFeature(f"s{column}", 0, column, DType.FLOAT, sensitive=sensitive)


def derived(*inputs: int, sensitive: bool = False) -> DerivedFeature:
    return DerivedFeature("d", BUILT_IN["sum"], inputs, sensitive=sensitive)


@pytest.mark.parametrize(
    ("features", "order", "hidden"),
    [
        ((stored(0), stored(1)), (), set()),
        ((stored(0, sensitive=True), stored(1)), (), {0}),
        ((stored(0, sensitive=True), replace(stored(0), name="again")), (), {0, 1}),
        ((derived(2, 3), derived(0, 3), stored(0, sensitive=True), stored(1)), (0, 1), {0, 1, 2}),
        ((stored(0), stored(1), derived(0, 1, sensitive=True), derived(2, 1)), (2, 3), {2, 3}),
        ((RequestFeature("a", 0, DType.FLOAT, sensitive=True), stored(0), derived(0, 1)), (2,), {0, 2}),
        ((RequestFeature("a", 0, DType.FLOAT, sensitive=True), RequestFeature("b", 0, DType.FLOAT)), (), {0, 1}),
    ],
    ids=["none", "one", "its column again", "derived twice", "derived itself", "sent", "its field again"],
)
def test_whatever_would_give_a_sensitive_value_away_is_sensitive(
    features: tuple[Feature, ...], order: tuple[int, ...], hidden: set[int]
) -> None:
    assert sensitive_features(features, order) == hidden


@pytest.mark.parametrize("way", ["the route", "the parameter"])
async def test_a_sensitive_value_and_what_is_derived_from_it_is_masked_and_nothing_else_changes(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore, way: str
) -> None:
    path = "/predict/detailed" if way == "the route" else "/predict"
    body = {"instances": [GOOD], "parameters": {"response": "detailed"}}
    (told,) = (await (await serve(shop(balance=SENSITIVE), goods)).post(path, json=body)).json()["predictions"]
    (plain,) = (await (await serve(shop(), goods)).post(path, json=body)).json()["predictions"]
    for name in ("balance", "amount_to_balance"):
        assert plain["features"][name]["value"] is not None
        plain["features"][name] |= {"value": None, "masked": True}
    assert told == plain
    assert [name for name, used in told["features"].items() if "masked" in used] == ["balance", "amount_to_balance"]


async def test_the_status_of_a_masked_ratio_does_not_tell_a_divisor_of_zero_from_any_other(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock
) -> None:
    then = clock.wall() - 100
    customers = {"C3": 80.0, "C4": 0.0, "C5": None}
    for key, balance in customers.items():
        goods.put("account", key, {"balance": balance, "city": "a"}, then)
        goods.put("activity", key, {"visits": 7}, then)
    client = await serve(shop(balance=SENSITIVE), goods)
    body = {"instances": [[key, "M1", 12.5] for key in customers]}
    told = (await client.post("/predict/detailed", json=body)).json()["predictions"]
    some, zero, null = (one["features"] for one in told)
    assert zero == some
    assert null["amount_to_balance"]["status"] == "NULL"  # what the store says of an input is no secret


async def test_a_sensitive_request_field_is_masked_in_answers_and_in_texts(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock
) -> None:
    folder = shop()
    serving = (
        (folder / "serving.yaml").read_text().replace("from: request.amount}", "from: request.amount" + SENSITIVE + "}")
    )
    (folder / "serving.yaml").write_text(serving)
    client = await serve(folder, goods)
    (told,) = (await client.post("/predict/detailed", json={"instances": [GOOD]})).json()["predictions"]
    assert [name for name, used in told["features"].items() if "masked" in used] == ["amount", "amount_to_balance"]
    document = (await client.get("/openapi.json")).json()
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert json.dumps(body).count('"writeOnly": true') == 2  # by name and in order
    async with running_service(Settings(bundle=str(folder)), Platform(), store=goods, clock=clock) as service:
        spec: Spec = service.bundle.spec
        assert "12.5" not in await banner(service, 1)
    for sent in (GOOD, {"merchant_id": "M1", "customer_id": "C1", "amount": 12.5}, {"b64": "MTIuNQ=="}):
        shown = json.dumps(shown_instance(spec, sent))
        assert "12.5" not in shown
        assert "MTIuNQ" not in shown


async def test_metadata_and_the_document_say_what_is_sensitive(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore
) -> None:
    client = await serve(shop(balance=SENSITIVE), goods)
    told = (await client.get("/metadata")).json()["features"]
    assert {one["name"]: one["sensitive"] for one in told if "sensitive" in one} == {
        "balance": True, "amount_to_balance": True,
    }  # fmt: skip
    document = (await client.get("/openapi.json")).json()
    described = document["paths"]["/predict/detailed"]["post"]["responses"]["200"]["description"]
    assert described.endswith(" Masked values: balance, amount_to_balance.")


SECRET = 31415.9265
TROUBLE: dict[str, Any] = {
    "null": {"balance": None, "city": "a"},
    "too old": {"balance": SECRET, "city": "a"},
    "unreadable": StoreAnswerInvalid("column 'balance' does not hold a float"),
    "down": StoreUnavailable(f"row {SECRET}"),
}


@pytest.mark.parametrize("what", TROUBLE)
async def test_no_error_holds_a_value(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock, what: str
) -> None:
    found = TROUBLE[what]
    if isinstance(found, dict):
        goods.put("account", "C1", found, clock.wall() - 5000)
    else:
        goods.spoil("account", "C1", found)
    policy = SENSITIVE + ", absent: {'null': fail}"
    client = await serve(shop(account=", max_age: 1h", balance=policy), goods)
    for on_error in ("fail", "null"):
        body = {"instances": [GOOD], "parameters": {"on_error": on_error}}
        answer = await client.post("/predict/detailed", json=body)
        assert b"urn:keyscore:problem:" in answer.content
        assert str(SECRET).encode() not in answer.content
