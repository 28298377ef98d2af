"""The published document is valid, and what the service really answers is what it publishes."""

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator

from features.errors import StoreAnswerInvalid, StoreDenied, StoreUnavailable
from features.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[httpx.AsyncClient]]
GOOD = ["C1", "M1", 12.5]


@pytest.fixture
async def client(serve: Serve, shop: Callable[..., Path], goods: MemoryStore) -> httpx.AsyncClient:
    return await serve(shop(), goods, max_body_bytes=2000)


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


def check(document: dict[str, Any], answer: httpx.Response, method: str = "post") -> None:
    """The answer's status, headers, media type and body are published for its path."""
    published = document["paths"][answer.request.url.path][method]["responses"][str(answer.status_code)]
    media_type = answer.headers["content-type"].partition(";")[0]
    headers = {name.lower() for name in published["headers"]}
    told = {name for name in answer.headers if name.startswith("x-") or name == "retry-after"}
    assert told <= headers
    assert headers - told <= {"x-keyscore-degraded", "x-keyscore-defaulted"}  # absent when they count none
    schema = published["content"][media_type]["schema"]
    whole = schema | {"components": document["components"]}
    body = answer.json() if "json" in media_type else answer.text
    Draft202012Validator(whole).validate(body)


def schemas(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("schema"), dict):
            yield node["schema"]
        for one in node.values():
            yield from schemas(one)
    elif isinstance(node, list):
        for one in node:
            yield from schemas(one)


async def test_the_document_is_valid(document: dict[str, Any]) -> None:
    OpenAPI.model_validate(document)
    assert document["openapi"].startswith("3.1")
    found = [*schemas(document["paths"]), *document["components"]["schemas"].values()]
    assert len(found) > 15
    for schema in found:
        Draft202012Validator.check_schema(schema)


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    named = {part.partition('"')[0] for part in json.dumps(document).split("#/components/")[1:]}
    assert named <= {f"{kind}/{name}" for kind, components in document["components"].items() for name in components}


async def test_the_document_names_this_deployments_keys_and_fields(document: dict[str, Any]) -> None:
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    by_name = next(one for one in body["properties"]["instances"]["items"]["anyOf"] if one["title"] == "by name")
    assert list(by_name["properties"]) == ["customer_id", "merchant_id", "amount"]
    assert document["info"]["title"] == "Keyscore: shop"


@pytest.mark.parametrize("path", ["/predict", "/predict/detailed"])
@pytest.mark.parametrize(
    "body",
    [
        {"instances": [GOOD, {"customer_id": "C2", "merchant_id": "M1", "amount": 0}]},
        {"instances": [GOOD, ["C9", "M1", 1], ["C1", "M1", -1]], "parameters": {"on_error": "null"}},
        {"instances": [["C9", "M1", 1]]},
        {"instances": [5]},
        {},
    ],
)
async def test_what_is_answered_is_what_is_published(
    client: httpx.AsyncClient, document: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    check(document, await client.post(path, json=body))


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"{}", {"x-request-timeout-ms": "soon"}, 400),
        (b"x" * 2001, {}, 413),
        (b"{}", {"content-type": "text/csv"}, 415),
    ],
)
async def test_a_body_that_is_not_read_is_published_too(
    client: httpx.AsyncClient, document: dict[str, Any], content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await client.post("/predict", content=content, headers=headers)
    assert answer.status_code == status
    check(document, answer)


@pytest.mark.parametrize(
    ("error", "status"), [(StoreUnavailable("x"), 503), (StoreDenied("x"), 502), (StoreAnswerInvalid("x"), 502)]
)
async def test_an_outage_is_published_too(
    client: httpx.AsyncClient, document: dict[str, Any], goods: MemoryStore, error: Exception, status: int
) -> None:
    goods.fail(error, reads=9)
    answer = await client.post("/predict", json={"instances": [GOOD]})
    assert answer.status_code == status
    check(document, answer)


async def test_the_metrics_of_one_of_many_workers_are_published_as_what_cannot_be_had(
    serve: Serve, shop: Callable[..., Path], goods: MemoryStore, document: dict[str, Any]
) -> None:
    one_of_two = await serve(shop(), goods, workers=2)
    answer = await one_of_two.get("/metrics")
    assert answer.status_code == 404
    assert answer.json()["type"].endswith(":one-of-many")
    check((await one_of_two.get("/openapi.json")).json(), answer, "get")
    assert "404" not in document["paths"]["/metrics"]["get"]["responses"]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metadata", "/metrics"])
async def test_the_other_routes_answer_what_is_published(
    client: httpx.AsyncClient, document: dict[str, Any], path: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    check(document, answer, "get")


async def test_a_service_that_is_not_ready_answers_what_is_published(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    transport.app.state.service.ready = False  # type: ignore[attr-defined]  # the app is ours
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    check(document, answer, "get")


@pytest.mark.parametrize("path", ["/predict", "/predict/detailed"])
@pytest.mark.parametrize("style", ["simple", "detailed"])
async def test_both_styles_are_published_for_both_routes(
    client: httpx.AsyncClient, document: dict[str, Any], path: str, style: str
) -> None:
    body = {"instances": [GOOD, ["nobody", "M1", 1.0]], "parameters": {"response": style, "on_error": "null"}}
    answer = await client.post(path, json=body)
    assert answer.status_code == 200
    check(document, answer)
