"""The catalogue's metrics as OpenTelemetry has them, sent over OTLP. The one door to the SDK's metrics.

Importing this takes about 0.1 s, so it is done only where metrics are pushed. The SDK's own instruments, which cost a
microsecond and a lock for every number, are left out: points are made from the tally at the moment of an export.

Headers, certificates, compression and timeout are the exporter's own affair, and `OTEL_SERVICE_NAME` and
`OTEL_RESOURCE_ATTRIBUTES` the resource's: the SDK reads the environment itself.
Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from features.clock import Clock
from service.telemetry.catalogue import FAMILIES, Family, Kind, Labels, Reading, Sources
from service.telemetry.histogram import Histogram

_SCOPE: Final = InstrumentationScope("keyscore")
_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE
_NS: Final = 1_000_000_000

Span = tuple[int, int]
"""From when to when was counted, in Unix nanoseconds."""


class OtlpMetrics:
    """Sends everything the catalogue has to a collector; see `service.telemetry.push.Exporter`."""

    def __init__(self, base_url: str, sources: Sources, clock: Clock) -> None:
        """Prepares to send; nothing is sent and nobody is called yet.

        Args:
            base_url: Of the collector; `/v1/metrics` comes after it.
            sources: What to send.
            clock: The time; counting is taken to begin now.

        Raises:
            RuntimeError: The environment names a provider of credentials that is not installed; of any other variable
                that it cannot read, the SDK warns and takes its default.
        """
        self._url = base_url.rstrip("/") + "/v1/metrics"
        self._sources = sources
        self._clock = clock
        self._began_ns = int(clock.wall() * _NS)
        self._resource = service_resource()
        self._exporter = OTLPMetricExporter(endpoint=self._url)

    def export(self, timeout_s: float | None = None) -> bool:
        """Sends the present state; whether it arrived.

        Args:
            timeout_s: How long it may take; else as OTEL_EXPORTER_OTLP_TIMEOUT says, 10 s unless set.
        """
        span = (self._began_ns, int(self._clock.wall() * _NS))
        data = metrics_data(self._sources, self._resource, span)
        exporter = self._exporter
        if timeout_s is not None:  # an exporter's time is set when it is made
            exporter = OTLPMetricExporter(endpoint=self._url, timeout=timeout_s)
        return exporter.export(data) is MetricExportResult.SUCCESS

    def hurry(self) -> None:
        """See `Exporter`; the SDK then ends its wait between two tries, which may last seconds."""
        self._exporter.shutdown()


def service_resource() -> Resource:
    """Who we are to a collector: what the environment says, else `keyscore`, with an instance id of this process."""
    found = Resource.create()
    if str(found.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: "keyscore"}))
    return found


def metrics_data(sources: Sources, resource: Resource, span: Span) -> MetricsData:
    """Every family of the catalogue that has a series, counted over `span`."""
    metrics = [metric for metric in (_metric(family, sources, span) for family in FAMILIES) if metric.data.data_points]
    scoped = ScopeMetrics(_SCOPE, metrics, schema_url="")
    return MetricsData([ResourceMetrics(resource, [scoped], schema_url=resource.schema_url)])


def _metric(family: Family, sources: Sources, span: Span) -> Metric:
    series = list(family.series(sources))
    data: Sum | Gauge | HistogramData
    if family.kind is Kind.HISTOGRAM:
        data = HistogramData([_histogram_point(family, *one, span) for one in series], _CUMULATIVE)
    elif family.kind is Kind.COUNTER:
        data = Sum(_number_points(family, series, span), _CUMULATIVE, is_monotonic=True)
    else:
        data = Gauge(_number_points(family, series, span))
    return Metric(family.name, family.description, family.unit, data)


def _number_points(family: Family, series: Sequence[tuple[Labels, Reading]], span: Span) -> list[NumberDataPoint]:
    return [
        NumberDataPoint(dict(zip(family.labels, labels, strict=True)), *span, reading)
        for labels, reading in series
        if not isinstance(reading, Histogram)
    ]


def _histogram_point(family: Family, labels: Labels, reading: Reading, span: Span) -> HistogramDataPoint:
    assert isinstance(reading, Histogram)  # noqa: S101  # a histogram family reads no other; for the type checker
    nobody_knows: float = None  # type: ignore[assignment]  # optional on the wire; extremes are not kept
    return HistogramDataPoint(
        dict(zip(family.labels, labels, strict=True)),
        *span,
        count=sum(reading.counts),
        sum=reading.total,
        bucket_counts=reading.counts,
        explicit_bounds=reading.bounds,
        min=nobody_knows,
        max=nobody_knows,
    )
