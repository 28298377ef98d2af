"""Traces arrive at a collector as OpenTelemetry's spans; where they cannot, they are dropped and counted."""

import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from features.clock import ManualClock
from features.stores.memory import MemoryStore
from service.app import create_app
from service.events import Stage
from service.settings import Platform, Settings
from service.trace_context import TraceContext
from service.tracing import Tracing, otlp_tracing
from service.watching import TracedRequest
from service.wiring import running_service

pytestmark = pytest.mark.anyio

_TRACE = "0af7651916cd43dd8448eb211c80319c"
_PARENT = "b7ad6b7169203331"
_BODY = {"instances": [{"customer_id": "C1", "merchant_id": "M1", "amount": 5.0}]}


@dataclass
class Collector:
    """Takes OTLP over HTTP as a real one does, and keeps it; answers with `status`."""

    url: str = ""
    status: int = 200
    requests: list[Any] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def spans(self) -> list[Any]:
        groups = [one for request in self.requests for one in request.resource_spans]
        return [span for group in groups for scope in group.scope_spans for span in scope.spans]

    @property
    def resource(self) -> dict[str, str]:
        return _texts(self.requests[0].resource_spans[0].resource.attributes)


@dataclass
class Counted:
    """Counts drops."""

    lost: Counter[str] = field(default_factory=Counter)

    def add(self, signal: str, n: int) -> None:
        self.lost[signal] += n


def _texts(attributes: Any) -> dict[str, str]:
    return {one.key: one.value.string_value or str(one.value.int_value) for one in attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()

    class Exchange(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path != "/v1/metrics":
                made.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                made.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(made.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hole() -> Iterator[str]:
    """A collector that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def request(*, status: int = 200, stages: int = 1, parent_id: int = 0) -> TracedRequest:
    context = TraceContext(int(_TRACE, 16), 0xA1, sampled=True)
    timed = [(Stage.PLAN, 1000.25, 1000.5)] * stages
    return TracedRequest(context, parent_id, "POST", "/predict", status, 1000.0, 1001.0, timed)


def tracing(url: str, clock: ManualClock, drops: Counted) -> Tracing:
    return otlp_tracing(url, {"keyscore.bundle": "shop"}, clock, drops)


async def test_a_request_becomes_a_server_span_with_a_child_per_stage(clock: ManualClock, collector: Collector) -> None:
    drops = Counted()
    sending = tracing(collector.url, clock, drops)
    sending.take(request(parent_id=int(_PARENT, 16)))
    await sending.aclose()
    child, server = collector.spans
    assert (server.name, server.kind) == ("POST /predict", Span.SPAN_KIND_SERVER)
    assert server.trace_id.hex() == child.trace_id.hex() == _TRACE
    assert server.span_id == (0xA1).to_bytes(8, "big")
    assert server.parent_span_id.hex() == _PARENT
    assert child.parent_span_id == server.span_id
    assert child.span_id not in (server.span_id, b"")
    assert (child.name, child.kind) == ("plan", Span.SPAN_KIND_INTERNAL)
    assert not child.attributes
    start = 1_700_000_000_000_000_000
    assert (server.start_time_unix_nano, server.end_time_unix_nano) == (start, start + 1_000_000_000)
    assert (child.start_time_unix_nano, child.end_time_unix_nano) == (start + 250_000_000, start + 500_000_000)
    assert _texts(server.attributes) == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": "200",
        "keyscore.bundle": "shop",
    }
    assert not drops.lost


async def test_a_stage_that_began_before_the_request_was_watched_widens_its_span(
    clock: ManualClock, collector: Collector
) -> None:
    sending = tracing(collector.url, clock, Counted())
    sending.take(replace(request(), began=1000.375))
    await sending.aclose()
    child, server = collector.spans
    assert server.start_time_unix_nano == child.start_time_unix_nano


@pytest.mark.parametrize(
    ("status", "code"),
    [(200, Status.STATUS_CODE_UNSET), (422, Status.STATUS_CODE_UNSET), (503, Status.STATUS_CODE_ERROR)],
)
async def test_only_our_own_errors_are_errors_of_the_span(
    clock: ManualClock, collector: Collector, status: int, code: int
) -> None:
    sending = tracing(collector.url, clock, Counted())
    sending.take(request(status=status, stages=0))
    await sending.aclose()
    [server] = collector.spans
    assert server.status.code == code
    assert server.parent_span_id == b""
    assert ("error.type" in _texts(server.attributes)) == (status == 503)


async def test_opentelemetrys_own_variables_are_honoured(
    clock: ManualClock, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=fraud")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    sending = tracing(f"{collector.url}/", clock, Counted())
    sending.take(request())
    await sending.aclose()
    [(path, headers)] = collector.asked
    assert path == "/v1/traces"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["x-team"] == "fraud"
    assert collector.resource["deployment.environment.name"] == "test"
    assert collector.resource["service.name"] == "keyscore"


@pytest.mark.parametrize(
    ("variable", "value"), [("OTEL_SERVICE_NAME", "scores"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=scores")]
)
async def test_the_service_goes_by_the_name_it_is_given(
    clock: ManualClock, collector: Collector, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    sending = tracing(collector.url, clock, Counted())
    sending.take(request())
    await sending.aclose()
    assert collector.resource["service.name"] == "scores"


async def test_what_a_collector_refuses_is_counted(clock: ManualClock, collector: Collector) -> None:
    collector.status = 400
    drops = Counted()
    sending = tracing(collector.url, clock, drops)
    sending.take(request(stages=6))
    await sending.aclose()
    assert drops.lost == {"traces": 7}


async def test_a_collector_that_never_answers_holds_up_nothing_and_its_spans_are_counted(
    clock: ManualClock, hole: str
) -> None:
    drops = Counted()
    sending = tracing(hole, clock, drops)
    sending.take(request(stages=6))
    await sending.aclose(within_s=0.05)
    assert drops.lost == {"traces": 7}


async def test_spans_wait_in_bounded_number_and_a_trace_is_dropped_whole(clock: ManualClock, hole: str) -> None:
    drops = Counted()
    sending = tracing(hole, clock, drops)
    for _ in range(500):
        sending.take(request(stages=7))
    assert drops.lost == {"traces": 500 * 8 - 2_048}
    assert "2048/2048" in repr(sending)
    await sending.aclose(within_s=0.05)
    assert drops.lost == {"traces": 500 * 8}


@pytest.fixture
async def ask(
    shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock, collector: Collector
) -> Callable[..., Awaitable[list[Any]]]:
    """`await ask(headers, path=…, trace_ratio=…)`: the spans of one request to a whole service."""

    async def run(headers: dict[str, str], path: str = "/predict", method: str = "POST", **chosen: Any) -> list[Any]:
        settings = Settings(bundle=str(shop()), **{"otlp_endpoint": collector.url, "trace_ratio": 0.0, **chosen})
        async with running_service(settings, Platform(), store=goods, clock=clock) as service:
            transport = httpx.ASGITransport(create_app(service))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                await client.request(method, path, json=_BODY, headers=headers)
        return collector.spans

    return run


@pytest.mark.parametrize(
    ("name", "value", "parent"),
    [
        ("traceparent", f"00-{_TRACE}-{_PARENT}-01", _PARENT),
        ("X-Cloud-Trace-Context", f"{_TRACE}/{int(_PARENT, 16)};o=1", _PARENT),
        ("X-Cloud-Trace-Context", f"{_TRACE}/1;o=1", "0000000000000001"),
    ],
)
async def test_a_callers_trace_goes_on_through_all_seven_stages(
    ask: Callable[..., Awaitable[list[Any]]], name: str, value: str, parent: str
) -> None:
    *stages, server = await ask({name: value})
    assert {span.trace_id.hex() for span in (*stages, server)} == {_TRACE}
    assert server.parent_span_id.hex() == parent
    assert [span.name for span in stages] == list(Stage)
    assert {span.parent_span_id for span in stages} == {server.span_id}
    assert len({span.span_id for span in (*stages, server)}) == 8
    said = _texts(server.attributes)
    assert (said["http.route"], said["keyscore.bundle"], said["keyscore.bundle.version"]) == ("/predict", "shop", "3")


async def test_no_span_holds_an_id_or_a_value(ask: Callable[..., Awaitable[list[Any]]], collector: Collector) -> None:
    await ask({"traceparent": f"00-{_TRACE}-{_PARENT}-01"}, path="/predict/detailed")
    text = str(collector.requests)
    assert "/predict/detailed" in text
    for secret in ("C1", "M1", "80", "33.0", "customer_id"):
        assert f'"{secret}' not in text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": f"00-{_TRACE}-{_PARENT}-00"},
        {"X-Cloud-Trace-Context": f"{_TRACE}/1;o=0"},
        {"traceparent": f"00-{_TRACE}-{_PARENT}-00", "X-Cloud-Trace-Context": f"{_TRACE}/1;o=1"},
        {"traceparent": "00-nonsense-01"},
    ],
    ids=["silent", "w3c", "cloud", "both", "malformed"],
)
async def test_an_unsampled_request_makes_no_span(ask: Callable[..., Awaitable[list[Any]]], headers: Any) -> None:
    assert await ask(headers) == []


async def test_health_routes_make_no_span(ask: Callable[..., Awaitable[list[Any]]]) -> None:
    sampled = {"traceparent": f"00-{_TRACE}-{_PARENT}-01"}
    assert await ask(sampled, path="/readyz", method="GET", trace_ratio=1.0) == []


async def test_without_a_decision_of_the_callers_the_setting_decides(ask: Callable[..., Awaitable[list[Any]]]) -> None:
    assert len(await ask({}, trace_ratio=1.0)) == 8
