"""Everybody gets a request id, what nobody caught gets an answer, and everything is counted under a closed label."""

import json
import logging
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from features.clock import ManualClock
from features.events import Event
from service.events import RequestEnded
from service.middleware import Outermost

pytestmark = pytest.mark.anyio


class Exchange:
    """One request through the middleware around an app that does as it is told."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.sent: list[Message] = []
        self.events: list[Event] = []
        self.request_id: str | None = None

    def observe(self, event: Event, /) -> None:
        self.events.append(event)

    async def run(self, *, error: Exception | None = None, begin: bool = True, **scope: Any) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # ASGI's signature
            self.request_id = scope.get("state", {}).get("request_id")
            self.clock.advance(2)
            if begin:
                await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
            if error is not None:
                raise error
            await send({"type": "http.response.body", "body": b"ok"})

        async def receive() -> Message:
            raise AssertionError("nobody asks for a body")

        async def send(message: Message) -> None:
            self.sent.append(message)

        middleware = Outermost(app, clock=self.clock, observer=self)
        await middleware({"type": "http", "headers": [], **scope}, receive, send)


@pytest.fixture
def exchange(clock: ManualClock) -> Exchange:
    return Exchange(clock)


async def test_an_answer_carries_a_request_id_and_is_counted(exchange: Exchange) -> None:
    await exchange.run()
    headers = dict(exchange.sent[0]["headers"])
    assert headers[b"a"] == b"b"
    assert len(headers[b"x-request-id"]) == 16
    assert headers[b"x-request-id"].decode() == exchange.request_id
    assert exchange.events == [RequestEnded("other", 200, 2.0)]


@pytest.mark.parametrize("given", [b"abc", b"a.b_c:d-1", b"7" * 128])
async def test_a_harmless_request_id_of_the_callers_is_kept(exchange: Exchange, given: bytes) -> None:
    await exchange.run(headers=[(b"x-request-id", given)])
    assert dict(exchange.sent[0]["headers"])[b"x-request-id"] == given


@pytest.mark.parametrize("given", [b"", b"a b", b"a\nb", b"\xc3\xa9", b"7" * 129, b'"'])
async def test_any_other_request_id_is_replaced(exchange: Exchange, given: bytes) -> None:
    await exchange.run(headers=[(b"x-request-id", given)])
    assert dict(exchange.sent[0]["headers"])[b"x-request-id"] != given


async def test_an_error_that_nobody_caught_is_logged_and_answered_in_bare_words(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "keyscore"):
        await exchange.run(error=RuntimeError("secret"), begin=False)
    start, body = exchange.sent
    document = json.loads(body["body"])
    assert start["status"] == document["status"] == 500
    assert document["type"] == "urn:keyscore:problem:internal-error"
    assert document["request_id"] == exchange.request_id
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    assert dict(start["headers"])[b"content-type"] == b"application/problem+json"
    assert b"secret" not in body["body"]
    assert f"request_id={exchange.request_id}" in caplog.text
    assert "secret" in caplog.text
    assert exchange.events == [RequestEnded("other", 500, 2.0)]


async def test_an_error_after_the_answer_began_ends_the_connection(exchange: Exchange) -> None:
    with pytest.raises(RuntimeError):
        await exchange.run(error=RuntimeError("late"))
    assert exchange.events == [RequestEnded("other", 200, 2.0)]


async def test_a_client_that_went_away_is_no_error_of_ours(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    await exchange.run(error=ClientDisconnect(), begin=False)
    assert exchange.sent == []
    assert exchange.events == [RequestEnded("other", 499, 2.0)]
    assert not caplog.records


async def test_what_is_not_http_passes_through(exchange: Exchange) -> None:
    await exchange.run(type="lifespan")
    assert exchange.events == []
    assert exchange.sent[0]["headers"] == [(b"a", b"b")]
