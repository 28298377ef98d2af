"""The oracle passes what the service answers, and nothing that was tampered with."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from load_tests.asking import DETAILED, SIMPLE, Asker, ask
from load_tests.bundles import Served
from load_tests.oracle import Oracle
from load_tests.stored_rows import read_rows
from load_tests.stories import Span

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[httpx.AsyncClient]]


@dataclass
class Asked:
    """An answer that a test may tamper with before the oracle sees it."""

    oracle: Oracle
    request: bytes
    status: int
    headers: dict[str, str]
    document: Any

    def verdict(self) -> str | None:
        body = json.dumps(self.document).encode()
        return self.oracle.check(self.request, self.status, self.headers, body)


class Known:
    """A service in this process, and the oracle that knows it."""

    def __init__(self, client: httpx.AsyncClient, oracle: Oracle, served: Served) -> None:
        self.client = client
        self.oracle = oracle
        self.asker = Asker(seed=5, entities=served.entities or 1)
        if not served.entities:
            self.asker.customers = list(read_rows(served.store, "customer_account"))
            self.asker.merchants = list(read_rows(served.store, "merchant_risk"))

    async def ask(self, request: bytes) -> Asked:
        head, _, body = request.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        headers = dict(one.split(": ", 1) for one in lines)
        answer = await self.client.post(line.split(" ")[1], content=body, headers=headers)
        found = {name.lower(): value for name, value in answer.headers.items()}
        return Asked(self.oracle, request, answer.status_code, found, answer.json())


@pytest.fixture
def know(serve: Serve) -> Callable[[Served], Awaitable[Known]]:
    async def known(served: Served) -> Known:
        client = await serve(served.bundle, sqlite_path=served.store)
        oracle = Oracle()
        oracle.learn((await client.get("/metadata")).json(), served)
        return Known(client, oracle, served)

    return known


@pytest.fixture
async def plain(know: Callable[[Served], Awaitable[Known]], small_plain: Served) -> Known:
    return await know(small_plain)


@pytest.fixture
async def demo(know: Callable[[Served], Awaitable[Known]], demo_served: Served) -> Known:
    return await know(demo_served)


@pytest.mark.parametrize("kind", ["simple_warm", "simple_cold", "detailed_cold"])
async def test_what_the_service_answers_of_the_plain_bundle_is_right(plain: Known, kind: str) -> None:
    for number in range(30):
        asked = await plain.ask(plain.asker.request(kind, number))
        assert asked.status == 200
        assert asked.verdict() is None


async def test_what_the_service_answers_of_the_demo_is_right_on_both_routes(demo: Known) -> None:
    for number in range(60):
        instances = [demo.asker.payment(number), demo.asker.payment(1_000 + number)]
        asked = await demo.ask(ask((SIMPLE, DETAILED)[number % 2], instances, f"r{number}"))
        assert asked.status == 200
        assert asked.verdict() is None


def _set(*path: Any, to: Any) -> Callable[[Asked], None]:
    def tamper(asked: Asked) -> None:
        place = asked.document["predictions"]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return tamper


def _header(name: str, value: str) -> Callable[[Asked], None]:
    return lambda asked: asked.headers.update({name: value})


TAMPERED = {
    "a score": _set(0, "scores", to=[0.5, 0.5]),
    "the class": _set(0, "predicted_class", to="2"),
    "the classes": _set(0, "classes", to=["1", "0"]),
    "the entity": _set(0, "entity_id", to={"customer_id": "C1", "merchant_id": "M1"}),
    "the model": _set(0, "model", to={}),
    "a value": _set(0, "features", "balance", "value", to=1.0),
    "a value of the request": _set(0, "features", "amount", "value", to=1.0),
    "a derived value": _set(0, "features", "amount_to_balance", "value", to=1.0),
    "a status": _set(0, "features", "balance", "status", to="NULL"),
    "an unknown status": _set(0, "features", "balance", "status", to="FINE"),
    "a source": _set(0, "features", "balance", "source", to="default"),
    "the age of a read": _set(0, "features", "balance", "cached_s", to=100.0),
    "a count of degraded values": _set(0, "degraded", to=1),
    "the degraded header": _header("x-keyscore-degraded", "1"),
    "the defaulted header": _header("x-keyscore-defaulted", "24"),
    "the request id": _header("x-request-id", "another"),
    "the number of predictions": lambda asked: asked.document["predictions"].pop(),
    "the status": lambda asked: setattr(asked, "status", 500),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_an_answer_that_was_tampered_with_is_wrong(demo: Known, what: str) -> None:
    asked = await demo.ask(demo.asker.request("fraud", 7))
    assert asked.verdict() is None
    TAMPERED[what](asked)
    found = asked.verdict()
    assert found is not None
    assert found.startswith("seed5-7: ")


@pytest.mark.parametrize("source", ["store", "cache"])
async def test_a_row_that_is_too_old_must_be_flagged(demo: Known, source: str) -> None:
    asked = await demo.ask(demo.asker.request("fraud", 7))
    for name in ("balance", "credit_limit", "account_age_days", "home_country"):
        asked.document["predictions"][0]["features"][name] |= {"source": source, "cached_s": 13.0}
    assert asked.verdict() is not None  # neither store nor cache may be 13 s old
    for name in ("balance", "credit_limit", "account_age_days", "home_country"):
        asked.document["predictions"][0]["features"][name] |= {"source": "stale"}
    assert "degraded is 0" in str(asked.verdict())  # and what is beyond stale-while-revalidate is counted
    asked.document["predictions"][0]["degraded"] = 4
    asked.headers["x-keyscore-degraded"] = "4"
    assert asked.verdict() is None


async def test_a_simple_score_of_other_features_is_wrong_unless_it_is_the_plain_truth(plain: Known) -> None:
    asked = await plain.ask(plain.asker.request("simple_warm", 3))
    right = asked.document["predictions"][0]
    asked.document["predictions"][0] = [right[0] + 1e-6, right[1] - 1e-6]
    assert "no flag says why" in str(asked.verdict())
    asked.headers["x-keyscore-degraded"] = "1"
    assert asked.verdict() is not None  # this bundle fails where a read fails: there is nothing it could stand for


async def test_a_changed_value_is_right_before_and_after_and_wrong_long_after(demo: Known) -> None:
    times = iter([100.0, 101.0])
    demo.oracle.truth._now = lambda: next(times)
    asked = await demo.ask(demo.asker.request("fraud", 7))
    customer = json.loads(asked.request.partition(b"\r\n\r\n")[2])["instances"][0]["customer_id"]
    old = demo.oracle.truth.current("customer_account", customer)
    assert old is not None
    with demo.oracle.truth._changing("customer_account", customer, {**old, "balance": 1.0}):
        pass  # the store itself is shared with other tests, so only the oracle learns of it
    body = json.dumps(asked.document).encode()

    def verdict(sent: float) -> str | None:
        return demo.oracle.check(asked.request, asked.status, asked.headers, body, Span(sent, sent + 0.01))

    assert verdict(99.0) is None
    assert verdict(100.5) is None
    assert "the store held [1.0]" in str(verdict(105.0))


async def test_a_refusal_must_be_honest(demo: Known) -> None:
    request = demo.asker.request("fraud", 7)
    refused = {"content-type": "application/problem+json", "x-request-id": "seed5-7", "retry-after": "1"}
    problem = {"status": 503, "request_id": "seed5-7", "type": "urn:keyscore:problem:overloaded"}

    def verdict(status: int = 503, headers: dict[str, str] = refused, document: object = problem) -> str | None:
        return Asked(demo.oracle, request, status, headers, document).verdict()

    assert verdict() is None
    assert verdict(headers={**refused, "retry-after": ""}) is not None
    assert verdict(headers={**refused, "content-type": "text/plain"}) is not None
    assert verdict(document={**problem, "status": 500}) is not None
    assert verdict(document={**problem, "request_id": "x"}) is not None
    assert verdict(status=404, document={**problem, "status": 404}) is not None
    assert verdict(status=-1) is None  # no answer is a failure, and not a wrong answer
