"""Everybody gets a request id, what nobody caught gets an answer, and everything is counted under a closed label."""

import json
import logging
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from features.clock import ManualClock
from features.events import Event
from service.access import AccessLog
from service.events import RequestEnded, Stage
from service.middleware import Outermost
from service.trace_context import TraceContext
from service.watching import TracedRequest, Tracer, Watching

pytestmark = pytest.mark.anyio


class Exchange:
    """One request through the middleware around an app that does as it is told."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.sent: list[Message] = []
        self.events: list[Event] = []
        self.request_id: str | None = None
        self.access_log: Literal["off", "errors", "all"] = "off"
        self.tracer: Tracer | None = None

    def observe(self, event: Event, /) -> None:
        self.events.append(event)

    async def run(self, *, error: Exception | None = None, begin: bool = True, status: int = 200, **scope: Any) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # ASGI's signature
            state = scope.get("state", {})
            self.request_id = state.get("request_id")
            if (watch := state.get("watch")) is not None:
                watch.stage_ended(Stage.PARSE, 1000.0, 1000.5)
            self.clock.advance(2)
            if begin:
                await send({"type": "http.response.start", "status": status, "headers": [(b"a", b"b")]})
            if error is not None:
                raise error
            await send({"type": "http.response.body", "body": b"ok"})

        async def receive() -> Message:
            raise AssertionError("nobody asks for a body")

        async def send(message: Message) -> None:
            self.sent.append(message)

        watching = Watching(self, self.tracer, stage_sampling=10**9, trace_ratio=0.0)
        log = AccessLog(self.access_log)
        middleware = Outermost(app, clock=self.clock, observer=self, watching=watching, access_log=log)
        await middleware({"type": "http", "method": "POST", "headers": [], **scope}, receive, send)


class Traces:
    """Keeps what it takes."""

    def __init__(self) -> None:
        self.taken: list[TracedRequest] = []

    def take(self, request: TracedRequest, /) -> None:
        self.taken.append(request)


_TRACE = "0af7651916cd43dd8448eb211c80319c"
_SAMPLED = (b"traceparent", f"00-{_TRACE}-b7ad6b7169203331-01".encode())
_UNSAMPLED = (b"traceparent", f"00-{_TRACE}-b7ad6b7169203331-00".encode())


def _route(path: str, name: str) -> SimpleNamespace:
    return SimpleNamespace(path=path, name=name)


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
    assert vars(caplog.records[0])["request_id"] == exchange.request_id
    assert caplog.records[0].getMessage() == "unhandled error"
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


async def test_a_watched_request_hands_on_its_stages_and_its_own_times(exchange: Exchange) -> None:
    exchange.tracer = traces = Traces()
    await exchange.run(headers=[_SAMPLED], route=_route("/predict", "predict"))
    [taken] = traces.taken
    assert (taken.method, taken.route, taken.status) == ("POST", "/predict", 200)
    assert (taken.began, taken.ended) == (1000.0, 1002.0)
    assert taken.stages == [(Stage.PARSE, 1000.0, 1000.5)]


async def test_only_what_is_posted_is_watched(exchange: Exchange) -> None:
    exchange.tracer = traces = Traces()
    await exchange.run(headers=[_SAMPLED], method="GET")
    assert traces.taken == []


@pytest.mark.parametrize(
    ("wanted", "status", "lines"),
    [
        ("off", 500, 0),
        ("errors", 200, 0),
        ("errors", 422, 0),
        ("errors", 499, 0),
        ("errors", 500, 1),
        ("errors", 504, 1),
        ("all", 200, 1),
        ("all", 503, 1),
    ],
)
async def test_the_setting_says_which_requests_have_a_line(
    exchange: Exchange,
    caplog: pytest.LogCaptureFixture,
    wanted: Literal["off", "errors", "all"],
    status: int,
    lines: int,
) -> None:
    exchange.access_log = wanted
    with caplog.at_level(logging.INFO, "keyscore"):
        await exchange.run(status=status)
    assert len(caplog.records) == lines
    assert all(vars(record)["every"] is (wanted == "all") for record in caplog.records)


async def test_a_line_tells_of_the_request_in_closed_words_only(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.access_log = "all"
    with caplog.at_level(logging.INFO, "keyscore"):
        await exchange.run(
            status=504,
            path="/C00017",
            query_string=b"id=C00017",
            method="C00017",
            state={"problem": "deadline-exceeded"},
        )
    [record] = caplog.records
    assert record.getMessage() == "other other 504 in 2000.0 ms"
    assert record.levelno == logging.ERROR
    assert vars(record)["httpRequest"] == {
        "requestMethod": "other",
        "requestUrl": "other",
        "status": 504,
        "latency": "2.000000s",
    }
    assert vars(record)["fields"] == {"problem": "deadline-exceeded"}
    assert vars(record)["request_id"] == exchange.request_id
    assert "C00017" not in str(vars(record))


@pytest.mark.parametrize("name", ["livez", "readyz", "metrics"])
async def test_that_a_service_is_not_ready_is_no_error_line(
    exchange: Exchange, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    exchange.access_log = "errors"
    await exchange.run(status=503, method="GET", route=_route("/anything", name))
    assert not caplog.records


async def test_a_refusal_at_admission_is_no_error_line(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    exchange.access_log = "errors"
    await exchange.run(status=503, state={"problem": "overloaded"})
    assert not caplog.records


async def test_a_line_of_an_untraced_request_names_the_callers_span(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.access_log = "errors"
    await exchange.run(status=500, headers=[_UNSAMPLED])
    context = vars(caplog.records[0])["trace_context"]
    assert context == TraceContext(int(_TRACE, 16), 0xB7AD6B7169203331, sampled=False)


async def test_a_line_of_a_traced_request_names_its_own_span(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.access_log = "errors"
    exchange.tracer = traces = Traces()
    await exchange.run(status=500, headers=[_SAMPLED])
    assert vars(caplog.records[0])["trace_context"] == traces.taken[0].context
    assert traces.taken[0].context.trace_id == int(_TRACE, 16)
    assert traces.taken[0].parent_id == 0xB7AD6B7169203331
