"""The numbers are Prometheus text with closed labels."""

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry.catalogue import FAMILIES, Sources
from service.telemetry.histogram import Histogram
from service.telemetry.prometheus import PrometheusExport, cumulative

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def samples(sources: Sources) -> Samples:
    """Every sample of the export, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(PrometheusExport(sources).text().decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("keyscore_requests_total", {"route": "/predict", "status": "200"}, 1),
        ("keyscore_requests_total", {"route": "/predict", "status": "503"}, 1),
        ("keyscore_requests_total", {"route": "other", "status": "404"}, 1),
        ("keyscore_request_duration_seconds_count", {"route": "/predict"}, 1),
        ("keyscore_request_duration_seconds_sum", {"route": "other"}, 11.0),
        ("keyscore_request_duration_seconds_bucket", {"route": "/predict", "le": "0.002"}, 0),
        ("keyscore_request_duration_seconds_bucket", {"route": "/predict", "le": "0.005"}, 1),
        ("keyscore_request_duration_seconds_bucket", {"route": "other", "le": "10"}, 0),
        ("keyscore_request_duration_seconds_bucket", {"route": "other", "le": "+Inf"}, 1),
        ("keyscore_stage_duration_seconds_count", {"stage": "parse"}, 1),
        ("keyscore_requests_shed_total", {"partition": "large", "reason": "deadline"}, 1),
        ("keyscore_requests_shed_total", {"partition": "interactive", "reason": "limit"}, 0),
        ("keyscore_requests_in_flight", {"partition": "interactive"}, 4),
        ("keyscore_requests_limit", {"partition": "large"}, 2),
        ("keyscore_cache_lookups_total", {"view": "account", "result": "fresh"}, 3),
        ("keyscore_cache_lookups_total", {"view": "account", "result": "coalesced"}, 1),
        ("keyscore_cache_rows", {"view": "account"}, 12),
        ("keyscore_feature_age_seconds_bucket", {"view": "account", "le": "60"}, 1),
        ("keyscore_values_total", {"view": "account", "status": "PRESENT"}, 3 * 6 - 3),
        ("keyscore_values_total", {"view": "account", "status": "NOT_FOUND"}, 2),
        ("keyscore_values_total", {"view": "account", "status": "OUTSIDE_MAX_AGE"}, 0),
        ("keyscore_values_substituted_total", {"kind": "degraded"}, 2),
        ("keyscore_store_reads_total", {"view": "account", "outcome": "timeout"}, 1),
        ("keyscore_store_read_keys_total", {"view": "account"}, 5),
        ("keyscore_store_read_duration_seconds_count", {"view": "account"}, 3),
        ("keyscore_store_attempts_total", {"view": "account", "outcome": "ok", "kind": "retry"}, 1),
        ("keyscore_store_reads_refused_total", {"view": "account", "by": "throttle"}, 1),
        ("keyscore_scored_rows_bucket", {"le": "4"}, 1),
        ("keyscore_scored_rows_sum", {}, 3),
        ("keyscore_prediction_score_bucket", {"le": "0.05"}, 1),
        ("keyscore_prediction_score_bucket", {"le": "0.5"}, 2),
        ("keyscore_prediction_score_bucket", {"le": "1"}, 3),
        ("keyscore_loop_lag_seconds_count", {}, 1),
        ("keyscore_telemetry_dropped_total", {"signal": "traces"}, 5),
        ("keyscore_telemetry_dropped_total", {"signal": "metrics"}, 0),
    ],
)
def test_what_happened_is_exported(samples: Samples, name: str, labels: dict[str, str], value: float) -> None:
    assert samples[name, frozenset(labels.items())] == pytest.approx(value)


@pytest.mark.parametrize(
    "name", ["process_memory_usage_bytes", "process_cpu_time_seconds_total", "process_open_file_descriptor_count"]
)
def test_the_process_is_measured(samples: Samples, name: str) -> None:
    assert samples[name, frozenset()] > 0


def test_before_anything_happened_every_metric_is_announced(nothing_yet: Sources) -> None:
    text = PrometheusExport(nothing_yet).text().decode()
    announced = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert announced == {family.prometheus_name for family in FAMILIES}


def test_a_value_on_a_bound_is_not_above_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 2.0, math.inf):
        histogram.add(value)
    assert cumulative(histogram) == [("1", 1), ("2", 3), ("+Inf", 4)]
