"""`KEYSCORE_DETAILED=off`: no detailed answer by any way, and nobody is read for it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.stores.memory import MemoryStore
from service.settings import Platform, Settings

pytestmark = pytest.mark.anyio

GOOD = ["C1", "M1", 12.5]
ALIAS = "/v1/endpoints/1:predict"


@pytest.fixture
async def client(
    serve: Callable[..., Awaitable[httpx.AsyncClient]], shop: Callable[..., Path], goods: MemoryStore
) -> httpx.AsyncClient:
    return await serve(shop(), goods, platform=Platform(predict_route=ALIAS), detailed=False)


def test_off_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSCORE_DETAILED", "off")
    assert Settings().detailed is False


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/predict/detailed", {}),
        ("/predict/detailed", {"response": "simple"}),
        ("/predict/detailed", {"response": "detailed"}),
        ("/predict", {"response": "detailed"}),
        (ALIAS, {"response": "detailed"}),
    ],
)
async def test_a_detailed_answer_is_refused_before_anything_is_read(
    client: httpx.AsyncClient, goods: MemoryStore, path: str, parameters: dict[str, Any]
) -> None:
    before = list(goods.reads)
    answer = await client.post(path, json={"instances": [GOOD], "parameters": parameters})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:keyscore:problem:detailed-off"
    assert "ask /predict for a simple one" in answer.json()["detail"]
    assert list(goods.reads) == before


async def test_simple_answers_go_on(client: httpx.AsyncClient) -> None:
    for path in ("/predict", ALIAS):
        answer = await client.post(path, json={"instances": [GOOD], "parameters": {"response": "simple"}})
        assert answer.status_code == 200


async def test_the_document_and_metadata_say_so(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert "/predict/detailed" not in document["paths"]
    assert "403" in document["paths"]["/predict"]["post"]["responses"]
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    response = body["properties"]["parameters"]["anyOf"][0]["properties"]["response"]
    assert response["anyOf"] == [{"const": "simple"}, {"type": "null"}]
    assert "ProblemDocument" in document["components"]["schemas"]
    assert (await client.get("/metadata")).json()["detailed"] is False


async def test_where_it_is_on_nobody_reads_of_it(
    serve: Callable[..., Awaitable[httpx.AsyncClient]], shop: Callable[..., Path], goods: MemoryStore
) -> None:
    client = await serve(shop(), goods)
    document = (await client.get("/openapi.json")).json()
    for path in ("/predict", "/predict/detailed"):
        assert not {"401", "403"} & set(document["paths"][path]["post"]["responses"])
    assert (await client.get("/metadata")).json()["detailed"] is True
