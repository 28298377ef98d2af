"""Events to numbers, numbers to Prometheus text. The one door to prometheus_client.

Counting is on the request's path, so it is integer additions into plain dictionaries; what the exporter wants is made
when it asks. Labels come from closed sets only (views of the spec, stages, routes, statuses), so no caller can make
series grow.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from features.events import CacheLookedUp, Event, ReadAttempted, ReadRefused, StoreRead
from service.events import RequestEnded, RequestShed, RowsScored, StageEnded, ValuesSubstituted

METRICS_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
DURATION_BUCKETS_S: Final = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0,
)  # fmt: skip
"""Upper bounds in seconds. The conventional ones begin at 5 ms, which would hide every cache hit."""
ROWS_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1_000, 10_000)


class Histogram:
    """Counts of values by fixed upper bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Counts one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Upper bound and how many values are not above it, as Prometheus has it."""
        names = [*(f"{bound:g}" for bound in self.bounds), "+Inf"]
        running = 0
        rows: list[tuple[str, float]] = []
        for name, count in zip(names, self.counts, strict=True):
            running += count
            rows.append((name, running))
        return rows


def _durations() -> Histogram:
    return Histogram(DURATION_BUCKETS_S)


class Tally:
    """An observer that counts.

    Attributes:
        requests: By route and status.
        request_s: Durations by route.
        stage_s: Durations by stage.
        lookups: Cache look-ups by view and result.
        reads: Store reads by view and outcome.
        read_keys: Keys read by view.
        attempts: Calls to the store by view, outcome and kind: what retries and hedges add to the reads.
        refused: Reads refused before they reached the store, by view and by whom.
        read_s: Durations of store reads by view.
        rows: Rows per scoring call.
        substituted: Values by kind.
        shed: Requests refused at admission.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.request_s: defaultdict[str, Histogram] = defaultdict(_durations)
        self.stage_s: defaultdict[str, Histogram] = defaultdict(_durations)
        self.lookups: Counter[tuple[str, str]] = Counter()
        self.reads: Counter[tuple[str, str]] = Counter()
        self.read_keys: Counter[str] = Counter()
        self.attempts: Counter[tuple[str, str, str]] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self.read_s: defaultdict[str, Histogram] = defaultdict(_durations)
        self.rows = Histogram(ROWS_BUCKETS)
        self.substituted: Counter[str] = Counter()
        self.shed = 0
        self._takers: Final[Mapping[type[Event], Callable[[Any], None]]] = {
            RequestEnded: self._request,
            StageEnded: self._stage,
            CacheLookedUp: self._lookup,
            StoreRead: self._read,
            ReadAttempted: self._attempt,
            ReadRefused: self._refused,
            RowsScored: self._scored,
            ValuesSubstituted: self._substitution,
            RequestShed: self._refusal,
        }

    def observe(self, event: Event, /) -> None:
        """See `features.events.Observer`; an event nobody counts is passed over."""
        taker = self._takers.get(type(event))
        if taker is not None:
            taker(event)

    def _request(self, event: RequestEnded) -> None:
        self.requests[event.route, event.status] += 1
        self.request_s[event.route].add(event.duration_s)

    def _stage(self, event: StageEnded) -> None:
        self.stage_s[event.stage].add(event.duration_s)

    def _lookup(self, event: CacheLookedUp) -> None:
        for result in ("fresh", "stale", "negative", "miss", "coalesced"):
            count = getattr(event, result)
            if count:
                self.lookups[event.view, result] += count

    def _read(self, event: StoreRead) -> None:
        self.reads[event.view, event.outcome] += 1
        self.read_keys[event.view] += event.keys
        self.read_s[event.view].add(event.duration_s)

    def _attempt(self, event: ReadAttempted) -> None:
        self.attempts[event.view, event.outcome, event.kind] += 1

    def _refused(self, event: ReadRefused) -> None:
        self.refused[event.view, event.by] += 1

    def _scored(self, event: RowsScored) -> None:
        self.rows.add(event.rows)

    def _substitution(self, event: ValuesSubstituted) -> None:
        self.substituted["degraded"] += event.degraded
        self.substituted["defaulted"] += event.defaulted

    def _refusal(self, _: RequestShed) -> None:
        self.shed += 1


class PrometheusExport(Collector):
    """The tally and two live gauges as Prometheus metrics."""

    def __init__(
        self, tally: Tally, cached_rows: Callable[[], Mapping[str, int]], in_flight: Callable[[], int]
    ) -> None:
        """Reads when it is asked.

        Args:
            tally: What has been counted.
            cached_rows: Rows in cache now, by view.
            in_flight: Requests in flight now.
        """
        self._tally = tally
        self._cached_rows = cached_rows
        self._in_flight = in_flight
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """What `/metrics` answers."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client's `Collector`."""
        tally = self._tally
        yield _counter(
            "keyscore_requests", "HTTP requests answered.", ("route", "status"),
            (((route, str(status)), count) for (route, status), count in tally.requests.items()),
        )  # fmt: skip
        yield _histograms("keyscore_request_duration_seconds", "From arrival to answer.", "route", tally.request_s)
        yield _histograms("keyscore_stage_duration_seconds", "Stages of a request.", "stage", tally.stage_s)
        yield _counter(
            "keyscore_cache_lookups", "Distinct keys looked up in the cache.", ("view", "result"), tally.lookups.items()
        )
        yield _counter("keyscore_store_reads", "Batched store reads.", ("view", "outcome"), tally.reads.items())
        yield _counter(
            "keyscore_store_read_keys", "Keys asked for in store reads.", ("view",),
            (((view,), count) for view, count in tally.read_keys.items()),
        )  # fmt: skip
        yield _counter(
            "keyscore_store_attempts", "Calls to the store: first attempts, retries and hedges.",
            ("view", "outcome", "kind"), tally.attempts.items(),
        )  # fmt: skip
        yield _counter(
            "keyscore_store_reads_refused", "Reads refused before they reached the store.", ("view", "by"),
            tally.refused.items(),
        )  # fmt: skip
        yield _histograms("keyscore_store_read_duration_seconds", "Batched store reads.", "view", tally.read_s)
        rows = HistogramMetricFamily("keyscore_scored_rows", "Rows per scoring call.")
        rows.add_metric((), tally.rows.cumulative(), tally.rows.total)
        yield rows
        yield _counter(
            "keyscore_values_substituted", "Feature values used in place of the store's current ones.", ("kind",),
            (((kind,), count) for kind, count in tally.substituted.items()),
        )  # fmt: skip
        yield _counter("keyscore_requests_shed", "Requests refused at admission.", (), [((), tally.shed)])
        cached = GaugeMetricFamily("keyscore_cache_rows", "Feature rows in cache.", labels=("view",))
        for view, count in self._cached_rows().items():
            cached.add_metric((view,), count)
        yield cached
        yield GaugeMetricFamily("keyscore_requests_in_flight", "Requests in flight.", value=self._in_flight())


def _counter(
    name: str, documentation: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=labels)
    for label_values, count in values:
        family.add_metric(label_values, count)
    return family


def _histograms(name: str, documentation: str, label: str, histograms: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, documentation, labels=(label,))
    for value, histogram in histograms.items():
        family.add_metric((value,), histogram.cumulative(), histogram.total)
    return family
