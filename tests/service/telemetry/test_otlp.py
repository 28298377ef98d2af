"""What a collector receives over OTLP is what the tally holds."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric

from features.clock import ManualClock
from service.telemetry.catalogue import FAMILIES, Kind, Sources
from service.telemetry.histogram import Histogram
from service.telemetry.otlp import OtlpMetrics

pytestmark = pytest.mark.usefixtures("unset_otel")

_DATA = {Kind.COUNTER: "sum", Kind.GAUGE: "gauge", Kind.HISTOGRAM: "histogram"}


def _received(collector: Any) -> ExportMetricsServiceRequest:
    _, _, body = collector.posts.get(timeout=60)
    return ExportMetricsServiceRequest.FromString(body)


def _metrics(request: ExportMetricsServiceRequest) -> dict[str, Metric]:
    return {metric.name: metric for metric in request.resource_metrics[0].scope_metrics[0].metrics}


def _resource(request: ExportMetricsServiceRequest) -> dict[str, str]:
    return {one.key: one.value.string_value for one in request.resource_metrics[0].resource.attributes}


def _reading(point: Any, kind: Kind) -> tuple[Any, ...]:
    if kind is Kind.HISTOGRAM:
        return tuple(point.bucket_counts), tuple(point.explicit_bounds), point.count, point.sum
    return (point.as_int if point.WhichOneof("value") == "as_int" else point.as_double,)


def _expected(reading: float | Histogram) -> tuple[Any, ...]:
    if isinstance(reading, Histogram):
        return tuple(reading.counts), tuple(map(float, reading.bounds)), sum(reading.counts), reading.total
    return (reading,)


def test_every_point_of_every_metric_arrives_as_it_was_counted(collector: Any, sources: Sources) -> None:
    assert OtlpMetrics(collector.url, sources, ManualClock()).export()
    received = _metrics(_received(collector))
    assert list(received) == [family.name for family in FAMILIES]
    for family in FAMILIES:
        metric = received[family.name]
        data = getattr(metric, _DATA[family.kind])
        points = {
            tuple(one.value.string_value for one in point.attributes): _reading(point, family.kind)
            for point in data.data_points
        }
        assert (metric.unit, metric.description) == (family.unit, family.description)
        assert {tuple(one.key for one in point.attributes) for point in data.data_points} == {family.labels}
        if not family.name.startswith("process."):  # which moves on while we look
            assert points == {labels: _expected(reading) for labels, reading in family.series(sources)}


def test_counts_are_cumulative_since_the_start_and_say_so(collector: Any, sources: Sources) -> None:
    clock = ManualClock(wall=1_700_000_000.0)
    otlp = OtlpMetrics(collector.url, sources, clock)
    clock.advance(15.0)
    otlp.export()
    received = _metrics(_received(collector))
    requests, durations = received["keyscore.requests"].sum, received["keyscore.request.duration"].histogram
    assert requests.is_monotonic
    for data in (requests, durations):
        assert data.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
        assert data.data_points[0].start_time_unix_nano == 1_700_000_000_000_000_000
        assert data.data_points[0].time_unix_nano == 1_700_000_015_000_000_000


def test_a_histogram_claims_no_extremes_that_nobody_kept(collector: Any, sources: Sources) -> None:
    OtlpMetrics(collector.url, sources, ManualClock()).export()
    point = _metrics(_received(collector))["keyscore.scored.rows"].histogram.data_points[0]
    assert not point.HasField("min")
    assert not point.HasField("max")


def test_a_metric_without_series_is_left_out(collector: Any, nothing_yet: Sources) -> None:
    OtlpMetrics(collector.url, nothing_yet, ManualClock()).export()
    assert "keyscore.requests" not in _metrics(_received(collector))


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_path_of_metrics_comes_after_the_base_url(collector: Any, sources: Sources, slash: str) -> None:
    OtlpMetrics(f"{collector.url}/base{slash}", sources, ManualClock()).export()
    assert collector.posts.get(timeout=60)[0] == "/base/v1/metrics"


def test_the_environments_headers_are_sent(collector: Any, sources: Sources, unset_otel: Callable[..., None]) -> None:
    unset_otel(OTEL_EXPORTER_OTLP_HEADERS="api-key=s3cret,x-team=fraud")
    OtlpMetrics(collector.url, sources, ManualClock()).export()
    _, headers, _ = collector.posts.get(timeout=60)
    assert headers["api-key"] == "s3cret"
    assert headers["x-team"] == "fraud"
    assert headers["content-type"] == "application/x-protobuf"


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "keyscore"),
        ({"OTEL_SERVICE_NAME": "scores"}, "scores"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=others,deployment.environment.name=test"}, "others"),
    ],
    ids=["unset", "name", "attributes"],
)
def test_the_resource_is_who_the_environment_says_else_keyscore(
    collector: Any, sources: Sources, unset_otel: Callable[..., None], variables: dict[str, str], name: str
) -> None:
    unset_otel(**variables)
    OtlpMetrics(collector.url, sources, ManualClock()).export()
    resource = _resource(_received(collector))
    assert resource["service.name"] == name
    assert resource["service.instance.id"]  # two workers' counts must never be taken for one's
    assert resource.get("deployment.environment.name") == ("test" if name == "others" else None)


def test_an_export_that_was_refused_did_not_arrive(collector: Any, sources: Sources) -> None:
    collector.status = 400
    assert not OtlpMetrics(collector.url, sources, ManualClock()).export()
    assert collector.posts.qsize() == 1


def test_an_export_in_a_hurry_is_not_tried_again(collector: Any, sources: Sources) -> None:
    """503 is tried again for ten seconds; only one that has a time of its own is still sent after that."""
    collector.status = 503
    otlp = OtlpMetrics(collector.url, sources, ManualClock())
    with ThreadPoolExecutor(1) as thread:
        exporting = thread.submit(otlp.export)
        collector.posts.get(timeout=60)
        otlp.hurry()
        assert exporting.result(60) is False
    assert collector.posts.empty()
    collector.status = 200
    assert otlp.export(30.0)


def test_an_export_with_a_time_of_its_own_is_sent_like_any_other(collector: Any, sources: Sources) -> None:
    assert OtlpMetrics(collector.url, sources, ManualClock()).export(30.0)
    assert "keyscore.requests" in _metrics(_received(collector))
