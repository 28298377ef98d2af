"""What happened becomes numbers, and the numbers are Prometheus text with closed labels."""

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.events import CacheLookedUp, Event, ReadAttempted, ReadRefused, StoreRead
from service.events import RequestEnded, RequestShed, RowsScored, Stage, StageEnded, ValuesSubstituted
from service.telemetry import Histogram, PrometheusExport, Tally


class SomethingNew(Event):
    """An event that nobody counts yet."""


EVENTS: list[Event] = [
    RequestEnded("/predict", 200, 0.003),
    RequestEnded("/predict", 503, 0.0001),
    RequestEnded("other", 404, 5.0),
    StageEnded(Stage.PARSE, 0.0004),
    CacheLookedUp("account", fresh=3, stale=1, miss=2),
    CacheLookedUp("account", coalesced=1, negative=1),
    StoreRead("account", 3, 0.02, "ok"),
    StoreRead("account", 1, 0.02, "timeout"),
    ReadAttempted("account", 3, 0.01, "unavailable", "first"),
    ReadAttempted("account", 3, 0.01, "ok", "retry"),
    ReadRefused("account", "throttle"),
    RowsScored(3),
    ValuesSubstituted(degraded=2, defaulted=1),
    RequestShed("interactive", "limit"),
    SomethingNew(),
]


@pytest.fixture
def samples() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of the export after `EVENTS`, by name and labels."""
    tally = Tally()
    for event in EVENTS:
        tally.observe(event)
    text = PrometheusExport(tally, lambda: {"account": 12}, lambda: 4).text().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("keyscore_requests_total", {"route": "/predict", "status": "200"}, 1),
        ("keyscore_requests_total", {"route": "other", "status": "404"}, 1),
        ("keyscore_request_duration_seconds_count", {"route": "/predict"}, 2),
        ("keyscore_request_duration_seconds_sum", {"route": "other"}, 5.0),
        ("keyscore_request_duration_seconds_bucket", {"route": "/predict", "le": "0.0005"}, 1),
        ("keyscore_request_duration_seconds_bucket", {"route": "/predict", "le": "0.005"}, 2),
        ("keyscore_request_duration_seconds_bucket", {"route": "other", "le": "2"}, 0),
        ("keyscore_request_duration_seconds_bucket", {"route": "other", "le": "+Inf"}, 1),
        ("keyscore_stage_duration_seconds_count", {"stage": "parse"}, 1),
        ("keyscore_store_attempts_total", {"view": "account", "outcome": "ok", "kind": "retry"}, 1),
        ("keyscore_store_reads_refused_total", {"view": "account", "by": "throttle"}, 1),
        ("keyscore_cache_lookups_total", {"view": "account", "result": "fresh"}, 3),
        ("keyscore_cache_lookups_total", {"view": "account", "result": "coalesced"}, 1),
        ("keyscore_store_reads_total", {"view": "account", "outcome": "timeout"}, 1),
        ("keyscore_store_read_keys_total", {"view": "account"}, 4),
        ("keyscore_store_read_duration_seconds_count", {"view": "account"}, 2),
        ("keyscore_scored_rows_bucket", {"le": "4"}, 1),
        ("keyscore_scored_rows_sum", {}, 3),
        ("keyscore_values_substituted_total", {"kind": "degraded"}, 2),
        ("keyscore_requests_shed_total", {}, 1),
        ("keyscore_cache_rows", {"view": "account"}, 12),
        ("keyscore_requests_in_flight", {}, 4),
    ],
)
def test_what_happened_is_exported(
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, labels: dict[str, str], value: float
) -> None:
    assert samples[name, frozenset(labels.items())] == pytest.approx(value)


def test_before_anything_happened_there_is_text_too() -> None:
    text = PrometheusExport(Tally(), dict, lambda: 0).text().decode()
    families = {family.name for family in text_string_to_metric_families(text)}
    assert {"keyscore_requests", "keyscore_requests_shed", "keyscore_cache_rows"} <= families


def test_a_value_on_a_bound_is_not_above_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 2.0, math.inf):
        histogram.add(value)
    assert histogram.cumulative() == [("1", 1), ("2", 3), ("+Inf", 4)]
