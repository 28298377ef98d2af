"""Bad input: what each kind gets. Never a 500, never an echo, never a read of the store."""

import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio

ProblemOf = Callable[[httpx.Response], dict[str, Any]]
GOOD = {"customer_id": "C1", "merchant_id": "M1", "amount": 12.5}
SECRET = "s3cr3t-input"  # noqa: S105  # what must not come back
JSON = {"content-type": "application/json"}


@pytest.fixture
async def client(
    serve: Callable[..., Awaitable[httpx.AsyncClient]], shop: Callable[..., Path], goods: MemoryStore
) -> httpx.AsyncClient:
    return await serve(shop(), goods, max_instances=5, max_body_bytes=100_000)


def body(text: str) -> bytes:
    """A request whose amount is `text`."""
    return f'{{"instances": [{{"customer_id": "{SECRET}", "merchant_id": "M1", "amount": {text}}}]}}'.encode()


BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "truncated JSON": (body("1")[:-3], 400),
    "UTF-16": (body("1").decode().encode("utf-16"), 400),
    "UTF-16 without a mark": (body("1").decode().encode("utf-16-le"), 400),
    "UTF-32": (body("1").decode().encode("utf-32"), 400),
    "a byte order mark": (b"\xef\xbb\xbf" + body("1"), 400),
    "Latin-1": (body('"\xe9"').decode().encode("latin-1"), 400),
    "NaN": (body("NaN"), 400),
    "Infinity": (body("Infinity"), 400),
    "-Infinity": (body("-Infinity"), 400),
    "1e400": (body("1e400"), 400),
    "a 5,000-digit integer": (body("7" * 5000), 400),
    "a 5,000-digit fraction": (body("-0." + "7" * 5000), 422),
    "a 300-digit integer": (body("7" * 300), 422),
    "a number that float32 cannot hold": (body("3.5e38"), 422),
    "10,000 levels": (body("[" * 10_000 + "]" * 10_000), 400),
    "10,000 levels left open": (body('{"a":' * 10_000), 400),
    "900 levels": (body("[" * 900 + "]" * 900), 422),
    "a lone high surrogate": (body('"\\ud800"'), 400),
    "a lone low surrogate": (body('"\\udc00x"'), 400),
    "a raw NUL": (body('"\x00"'), 400),
    "gzip without saying so": (gzip.compress(body("1")), 400),
    "text": (SECRET.encode(), 400),
    "a form": (f"instances={SECRET}".encode(), 400),
    "a bare string": (json.dumps(SECRET).encode(), 422),
    "a bare list": (json.dumps([SECRET]).encode(), 422),
    "null": (b"null", 422),
    "an object of something else": (json.dumps({SECRET: 1}).encode(), 422),
    "too many instances": (json.dumps({"instances": [GOOD] * 6}).encode(), 422),
    "no instances": (b'{"instances": []}', 422),
    "a wrong amount": (body('"12"'), 422),
    "an unknown parameter": (json.dumps({"instances": [GOOD], "parameters": {SECRET: 1}}).encode(), 422),
    "a bad parameter": (json.dumps({"instances": [GOOD], "parameters": {"response": SECRET}}).encode(), 422),
    "a further member": (json.dumps({"instances": [GOOD], SECRET: 1}).encode(), 422),
}


@pytest.mark.parametrize("path", ["/predict", "/predict/detailed"])
@pytest.mark.parametrize("kind", BODIES)
async def test_a_bad_body_gets_a_problem_document_and_no_echo(
    client: httpx.AsyncClient, goods: MemoryStore, problem_of: ProblemOf, path: str, kind: str
) -> None:
    content, status = BODIES[kind]
    answer = await client.post(path, content=content, headers=JSON)
    assert answer.status_code == status
    problem_of(answer)
    assert SECRET not in answer.text
    assert "7" * 20 not in answer.text  # longer than a request id
    assert goods.reads == []


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/xml"},
        {"content-type": f"application/{SECRET}"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/json", "content-encoding": "deflate, gzip"},
    ],
    ids=str,
)
async def test_a_body_that_is_not_declared_as_plain_json_is_415(
    client: httpx.AsyncClient, problem_of: ProblemOf, headers: dict[str, str]
) -> None:
    answer = await client.post("/predict", content=gzip.compress(body("1")), headers=headers)
    assert answer.status_code == 415
    problem_of(answer)
    assert SECRET not in answer.text


async def test_a_body_over_the_limit_is_413_and_ends_the_connection(
    client: httpx.AsyncClient, problem_of: ProblemOf
) -> None:
    answer = await client.post("/predict", content=b"x" * 100_001, headers=JSON)
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert "100000 bytes" in problem_of(answer)["detail"]


GOOD_TYPES = {"string": "x", "number": 5, "null": None, "true": True, "list": [1], "object": {"a": 1}}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": -0.01}, "amount"),
        ({"amount": 1_000_001}, "amount"),
        *(({"amount": value}, "amount") for name, value in GOOD_TYPES.items() if name != "number"),
        *(
            ({"customer_id": value}, "customer_id")
            for name, value in GOOD_TYPES.items()
            if name not in ("string", "number")
        ),
        ({"customer_id": ""}, "customer_id"),
        ({"customer_id": 7.5}, "customer_id"),
        ({"customer_id": 2.0**53}, "customer_id"),
        ({"customer_id": "K" * 5000}, "customer_id"),
        ({"merchant_id": "a\x00b"}, "merchant_id"),
    ],
)
async def test_a_bad_value_is_422_and_names_instance_and_field(
    client: httpx.AsyncClient, goods: MemoryStore, problem_of: ProblemOf, change: dict[str, Any], field: str
) -> None:
    answer = await client.post("/predict", json={"instances": [GOOD, GOOD | change]})
    assert answer.status_code == 422
    document = problem_of(answer)
    assert (document["index"], document["field"]) == (1, field)
    assert f"'{field}'" in document["detail"]
    assert goods.reads == []


@pytest.mark.parametrize("missing", list(GOOD))
async def test_a_missing_member_is_422_and_named(
    client: httpx.AsyncClient, problem_of: ProblemOf, missing: str
) -> None:
    instance = {name: value for name, value in GOOD.items() if name != missing}
    answer = await client.post("/predict", json={"instances": [instance]})
    assert answer.status_code == 422
    assert problem_of(answer)["field"] == missing


async def test_an_undeclared_member_is_422_and_not_echoed(client: httpx.AsyncClient, problem_of: ProblemOf) -> None:
    answer = await client.post("/predict", json={"instances": [GOOD | {SECRET: SECRET}]})
    assert answer.status_code == 422
    assert "customer_id, merchant_id, amount" in problem_of(answer)["detail"]
    assert SECRET not in answer.text


async def test_too_many_instances_are_refused_before_any_read(
    client: httpx.AsyncClient, goods: MemoryStore, problem_of: ProblemOf
) -> None:
    assert (await client.post("/predict", json={"instances": [GOOD] * 5})).status_code == 200
    read = len(goods.reads)
    answer = await client.post("/predict", json={"instances": [GOOD] * 6})
    assert answer.status_code == 422
    assert "more than 5 instances" in problem_of(answer)["detail"]
    assert len(goods.reads) == read


async def test_an_unknown_entity_is_404_and_names_the_instance(
    client: httpx.AsyncClient, problem_of: ProblemOf
) -> None:
    answer = await client.post("/predict", json={"instances": [GOOD, GOOD | {"customer_id": SECRET}]})
    assert answer.status_code == 404
    document = problem_of(answer)
    assert (document["index"], document["view"]) == (1, "account")
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("PUT", "/predict/detailed", 405),
        ("POST", "/livez", 405),
        ("GET", f"/{SECRET}", 404),
        ("POST", "/predict/", 404),
        ("GET", f"/docs-assets/../../{SECRET}", 404),
        ("GET", f"/docs-assets/{SECRET}", 404),
    ],
)
async def test_a_wrong_path_or_method_is_a_problem_document_too(
    client: httpx.AsyncClient, problem_of: ProblemOf, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    problem_of(answer)
    assert SECRET not in answer.text


async def test_an_id_never_becomes_a_label(client: httpx.AsyncClient) -> None:
    for path in (f"/{SECRET}", f"/predict/{SECRET}", f"/docs-assets/{SECRET}"):
        await client.get(path)
    await client.post("/predict", json={"instances": [GOOD | {"customer_id": SECRET}]})
    text = (await client.get("/metrics")).text
    assert SECRET not in text
    assert 'keyscore_requests_total{route="other",status="404"}' in text
    assert 'keyscore_requests_total{route="/predict",status="404"} 1.0' in text
