"""Traces to OpenTelemetry's spans. The one door to its trace SDK.

A trace is taken when its answer has left: facts in, spans out, nothing is measured here. The SDK's own way of making
spans, a tracer that starts and ends them, costs a traced request 107 µs for its eight; spans made whole from times
that are known cost 20 µs (measured). Sending them is the SDK's `BatchSpanProcessor`, in a thread.
"""

from collections.abc import Iterator, Mapping, Sequence
from random import getrandbits
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from features.clock import Clock
from service.asides import finish_within
from service.telemetry.drops import Drops
from service.telemetry.otlp import service_resource
from service.watching import TracedRequest

_MAX_PENDING: Final = 2_048
"""Spans that wait to be sent; about 2 MB. The SDK's own default."""

_BATCH: Final = 128
"""Spans per message. Writing one takes about 10 µs, during which the event loop may have to wait."""

_EXPORT_S: Final = 5.0
"""Seconds between two messages; the SDK's own default."""

CLOSE_S: Final = 2.0
"""Seconds that pending spans have to get out when the service ends."""

_ERROR: Final = 500
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SCOPE: Final = InstrumentationScope("keyscore")
_UNSET, _FAILED = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class Tracing:
    """Takes traces and sends them; what cannot be sent is dropped and counted."""

    __slots__ = ("_attributes", "_clock", "_drops", "_exporter", "_processor", "_resource", "_taken")

    def __init__(
        self, exporter: SpanExporter, resource: Resource, attributes: Mapping[str, str], clock: Clock, drops: Drops
    ) -> None:
        """Begins to send.

        Args:
            exporter: Where to.
            resource: Who we are.
            attributes: What every request's span says beside its own facts.
            clock: The time.
            drops: Who counts spans that were lost.
        """
        self._clock = clock
        self._drops = drops
        self._resource = resource
        self._attributes = dict(attributes)
        self._exporter = _CountingExporter(exporter, drops)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=_MAX_PENDING,
            max_export_batch_size=_BATCH,
            schedule_delay_millis=_EXPORT_S * 1000,
        )
        self._taken = 0

    def __repr__(self) -> str:
        return f"<Tracing {self._pending}/{_MAX_PENDING} spans pending>"

    @property
    def _pending(self) -> int:
        # Each side counts up alone, the event loop here and the sending thread there: no lock is needed.
        return self._taken - self._exporter.settled

    def take(self, request: TracedRequest) -> None:
        """See `service.watching.Tracer`. A trace is taken whole or, if it does not fit any more, not at all."""
        n = 1 + len(request.stages)
        if self._pending + n > _MAX_PENDING:
            self._drops.add("traces", n)
            return
        self._taken += n
        for span in self._spans(request):
            self._processor.on_end(span)

    async def aclose(self, within_s: float = CLOSE_S) -> None:
        """Sends what is pending, for `within_s` seconds at most; the rest is dropped and counted."""
        if not await finish_within(within_s, self._processor.shutdown, "keyscore-traces-close"):
            self._exporter.shutdown()  # no further tries
        if lost := self._exporter.abandon(self._taken):
            self._drops.add("traces", lost)

    def _spans(self, request: TracedRequest) -> Iterator[ReadableSpan]:
        zero = _nanoseconds(self._clock.wall()) - _nanoseconds(self._clock.monotonic())
        trace_id = request.context.trace_id
        own = SpanContext(trace_id, request.context.span_id, is_remote=False, trace_flags=_SAMPLED)
        for stage, began, ended in request.stages:
            yield ReadableSpan(
                stage.value,
                SpanContext(trace_id, getrandbits(64) or 1, is_remote=False, trace_flags=_SAMPLED),
                own,
                self._resource,
                start_time=zero + _nanoseconds(began),
                end_time=zero + _nanoseconds(ended),
                instrumentation_scope=_SCOPE,
            )
        parent = SpanContext(trace_id, request.parent_id, is_remote=True) if request.parent_id else None
        yield ReadableSpan(
            f"{request.method} {request.route}",
            own,
            parent,
            self._resource,
            self._attributes_of(request),
            kind=SpanKind.SERVER,
            status=_FAILED if request.status >= _ERROR else _UNSET,
            # a request has been admitted before it gets as far as to be watched
            start_time=zero + _nanoseconds(min((request.began, *(began for _, began, _ in request.stages)))),
            end_time=zero + _nanoseconds(request.ended),
            instrumentation_scope=_SCOPE,
        )

    def _attributes_of(self, request: TracedRequest) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "http.request.method": request.method,
            "http.route": request.route,
            "http.response.status_code": request.status,
            **self._attributes,
        }
        if request.status >= _ERROR:
            attributes["error.type"] = str(request.status)
        return attributes


class _CountingExporter(SpanExporter):
    """Sends through another exporter, and counts what is settled, well or not.

    Attributes:
        settled: Spans that have been sent or lost.
    """

    def __init__(self, exporter: SpanExporter, drops: Drops) -> None:
        self._exporter = exporter
        self._drops = drops
        self._abandoned = False
        self._shut = False
        self.settled = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See the SDK; never raises."""
        try:
            result = SpanExportResult.FAILURE if self._shut else self._exporter.export(spans)
        except Exception:  # noqa: BLE001  # whatever it is, the spans are lost and requests go on
            result = SpanExportResult.FAILURE
        if not self._abandoned:
            self.settled += len(spans)
            if result is not SpanExportResult.SUCCESS:
                self._drops.add("traces", len(spans))
        return result

    def shutdown(self) -> None:
        """See the SDK; the processor calls it too, if it ever gets that far."""
        if not self._shut:
            self._shut = True
            self._exporter.shutdown()

    def abandon(self, taken: int) -> int:
        """How many of the spans taken are lost now; what settles later is not counted any more."""
        self._abandoned = True
        return taken - self.settled


def otlp_tracing(endpoint: str, attributes: Mapping[str, str], clock: Clock, drops: Drops) -> Tracing:
    """Traces to an OTLP collector over HTTP.

    Headers, certificates, compression and timeout are the SDK's own matters, by OpenTelemetry's variables
    (OTEL_EXPORTER_OTLP_HEADERS and so on); so are OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.

    Args:
        endpoint: Base URL; `/v1/traces` is added.
        attributes: What every request's span says beside its own facts.
        clock: The time.
        drops: Who counts spans that were lost.
    """
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
    return Tracing(exporter, service_resource(), attributes, clock, drops)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000_000)
