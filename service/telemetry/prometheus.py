"""The catalogue's metrics as Prometheus text, for those who pull. The one door to prometheus_client."""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service.telemetry.catalogue import FAMILIES, Family, Kind, Sources
from service.telemetry.histogram import Histogram

METRICS_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_KINDS: Final[Mapping[Kind, type[CounterMetricFamily | GaugeMetricFamily]]] = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
}


class PrometheusExport(Collector):
    """The catalogue's metrics as Prometheus has them."""

    def __init__(self, sources: Sources) -> None:
        """Reads `sources` when it is asked."""
        self._sources = sources
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """What `/metrics` answers."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client's `Collector`."""
        for family in FAMILIES:
            yield _metric(family, self._sources)


def _metric(family: Family, sources: Sources) -> Metric:
    if family.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(family.prometheus_name, family.description, labels=family.labels)
        for labels, reading in family.series(sources):
            assert isinstance(reading, Histogram)  # noqa: S101  # a histogram family reads no other; for the type checker
            histogram.add_metric(labels, cumulative(reading), reading.total)
        return histogram
    plain = _KINDS[family.kind](family.prometheus_name, family.description, labels=family.labels)
    for labels, reading in family.series(sources):
        assert not isinstance(reading, Histogram)  # noqa: S101  # likewise
        plain.add_metric(labels, reading)
    return plain


def cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """Upper bound and how many values are not above it."""
    names = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    running = 0
    rows: list[tuple[str, float]] = []
    for name, count in zip(names, histogram.counts, strict=True):
        running += count
        rows.append((name, running))
    return rows
