"""Whatever is sent: never a 5xx, always a problem document, never an echo."""

import asyncio
import json
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.stores.memory import MemoryStore
from service.app import create_app
from service.settings import Platform, Settings
from service.wiring import running_service

Post = Callable[[str, bytes], httpx.Response]
PATHS = st.sampled_from(["/predict", "/predict/detailed"])
LIMITS = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])  # the service is
# started once for all examples, which is what is wanted: it must survive them


@pytest.fixture
def post(shop: Callable[..., Path], goods: MemoryStore) -> Iterator[Post]:
    """`post(path, body)`: the answer of a service that goes on running."""
    with asyncio.Runner() as runner:
        running = running_service(Settings(bundle=str(shop())), Platform(), store=goods)
        transport = httpx.ASGITransport(create_app(runner.run(running.__aenter__())))
        client = httpx.AsyncClient(transport=transport, base_url="http://test")
        yield lambda path, body: runner.run(client.post(path, content=body))
        runner.run(client.aclose())
        runner.run(running.__aexit__(None, None, None))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from strings(name)
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)


OURS = set(string.printable) - {"@"} | {"…"}
"""The characters of our own words. Text that has another one cannot come into an answer but by an echo."""

TEXT = st.text() | st.text(string.ascii_letters).map(lambda text: f"@{text}@")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5))
NEARLY = st.one_of(
    ANYTHING,
    st.sampled_from(["C1", "M1"]),
    st.lists(SCALARS, min_size=3, max_size=3),
    st.fixed_dictionaries({"b64": st.binary(max_size=40).map(lambda data: data.hex()) | SCALARS}),
    st.fixed_dictionaries(
        {"customer_id": SCALARS | st.just("C1"), "merchant_id": SCALARS | st.just("M1"), "amount": SCALARS}
    ),
)
PARAMETERS = ["response", "max_cached_s", "max_age_s", "on_error", "on_degraded", "timeout_ms", "extra"]
REQUESTS = ANYTHING | st.fixed_dictionaries(
    {"instances": st.lists(NEARLY, max_size=4)},
    optional={"parameters": ANYTHING | st.dictionaries(st.sampled_from(PARAMETERS), SCALARS | st.just("null"))},
)


def check(answer: httpx.Response, sent: Iterator[str]) -> None:
    assert answer.status_code < 500
    if answer.status_code == 200:
        return
    document = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == answer.status_code
    assert document.pop("request_id") == answer.headers["x-request-id"]
    assert document["type"].startswith("urn:keyscore:problem:")
    assert document["detail"]
    said = " ".join(strings(document))
    for text in sent:
        assert len(text) <= 3 or set(text) <= OURS or text not in said


@LIMITS
@given(path=PATHS, request=REQUESTS)
def test_arbitrary_json_never_breaks_it(post: Post, path: str, request: Any) -> None:
    check(post(path, json.dumps(request).encode()), strings(request))


@LIMITS
@given(path=PATHS, body=st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_arbitrary_bytes_never_break_it(post: Post, path: str, body: bytes) -> None:
    check(post(path, body), iter([body.decode("utf-8", "replace")]))


@LIMITS
@given(path=PATHS, data=st.data())
def test_a_good_request_with_a_piece_changed_never_breaks_it(post: Post, path: str, data: st.DataObject) -> None:
    good = (
        b'{"instances": [{"customer_id": "C1", "merchant_id": "M1", "amount": 12.5}], "parameters": {"max_age_s": 1e9}}'
    )
    at = data.draw(st.integers(0, len(good)))
    length = data.draw(st.integers(0, 5))
    check(post(path, good[:at] + data.draw(st.binary(max_size=5)) + good[at + length :]), iter([]))
