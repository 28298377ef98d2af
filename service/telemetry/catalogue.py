"""Every metric there is, in one table: both exporters, the dashboard and its test derive from it.

Names are OpenTelemetry's; those of Prometheus follow by the rule of OpenTelemetry's own compatibility document, so that
a dashboard works with metrics that were scraped and with metrics that came through a collector.

Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from features.spec import Spec, StoredFeature
from features.values import Status
from service.events import SHED_REASONS
from service.telemetry.drops import Drops
from service.telemetry.histogram import Histogram
from service.telemetry.process import cpu_s, memory_bytes, open_descriptors
from service.telemetry.tally import Tally

_UNITS: Final = {"s": "_seconds", "By": "_bytes"}


class Kind(Enum):
    """How a metric behaves."""

    COUNTER = auto()
    GAUGE = auto()
    HISTOGRAM = auto()


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers come from when somebody exports.

    Attributes:
        tally: What has been counted.
        drops: What telemetry itself had to leave out.
        cached_rows: Rows in cache now, by view.
        in_flight: Requests in flight now and how many may be, by partition.
        values_per_instance: How many stored features an instance has, by view.
    """

    tally: Tally
    drops: Drops
    cached_rows: Callable[[], Mapping[str, int]]
    in_flight: Callable[[], Mapping[str, tuple[int, int]]]
    values_per_instance: Mapping[str, int]


Labels = tuple[str, ...]
"""One value for each of a family's label names."""

Reading = int | float | Histogram


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Attributes:
        name: OpenTelemetry's name.
        unit: After UCUM; a word in braces is for people.
        kind: How it behaves.
        labels: Names of its labels; their values come from closed sets.
        description: What it counts or measures.
        read: Its numbers by label values; one label may stand without a tuple.
    """

    name: str
    unit: str
    kind: Kind
    labels: Labels
    description: str
    read: Callable[[Sources], Mapping[Any, Reading]]

    @property
    def prometheus_name(self) -> str:
        """The name that Prometheus queries use, without the suffixes of a histogram's samples."""
        total = "_total" if self.kind is Kind.COUNTER else ""
        return re.sub(r"[^a-zA-Z0-9_]", "_", self.name) + _UNITS.get(self.unit, "") + total

    def series(self, sources: Sources) -> Iterator[tuple[Labels, Reading]]:
        """Label values and number of every series there is now; safe while the event loop's thread counts on."""
        for key, reading in dict(self.read(sources)).items():  # copying a dict is one step under the GIL
            labels = key if isinstance(key, tuple) else (key,)
            yield tuple(map(str, labels)), reading.copy() if isinstance(reading, Histogram) else reading


def stored_features(spec: Spec) -> Mapping[str, int]:
    """How many features come from each view."""
    return dict(Counter(spec.views[one.view].name for one in spec.features if isinstance(one, StoredFeature)))


def _values(sources: Sources) -> Mapping[tuple[str, str], int]:
    """Only what is not present is counted one by one; the rest is a multiplication away."""
    instances = sources.tally.instances  # read first: what is counted meanwhile is then missing, not too much
    found = dict(sources.tally.absent)
    values: dict[tuple[str, str], int] = {}
    for view, number in sources.values_per_instance.items():
        absent = {status: found.get((view, status), 0) for status in Status if status is not Status.PRESENT}
        values[view, Status.PRESENT] = max(0, instances * number - sum(absent.values()))
        values.update({(view, status): count for status, count in absent.items()})
    return values


def _sheds(sources: Sources) -> Mapping[tuple[str, str], int]:
    """Also those that never happened: a counter that begins at 1 has no first increase."""
    return {(name, reason): 0 for name in sources.in_flight() for reason in SHED_REASONS} | sources.tally.shed


FAMILIES: Final = (
    # Requests
    Family("keyscore.requests", "{request}", Kind.COUNTER, ("route", "status"),
           "HTTP requests answered.", lambda of: of.tally.requests),
    Family("keyscore.request.duration", "s", Kind.HISTOGRAM, ("route",),
           "From a request's being let in to the end of its answer; what is refused at the door is only counted.",
           lambda of: of.tally.request_s),
    Family("keyscore.stage.duration", "s", Kind.HISTOGRAM, ("stage",),
           "Stages of a request; only one request in KEYSCORE_STAGE_SAMPLING (16 unless set) is timed.",
           lambda of: of.tally.stage_s),
    # Overload
    Family("keyscore.requests.shed", "{request}", Kind.COUNTER, ("partition", "reason"),
           "Requests refused at admission.", _sheds),
    Family("keyscore.requests.in_flight", "{request}", Kind.GAUGE, ("partition",),
           "Requests in flight.", lambda of: {name: now for name, (now, _) in of.in_flight().items()}),
    Family("keyscore.requests.limit", "{request}", Kind.GAUGE, ("partition",),
           "Requests that may be in flight.", lambda of: {name: most for name, (_, most) in of.in_flight().items()}),
    # Cache and freshness
    Family("keyscore.cache.lookups", "{key}", Kind.COUNTER, ("view", "result"),
           "Distinct keys looked up in the cache.", lambda of: of.tally.lookups),
    Family("keyscore.cache.rows", "{row}", Kind.GAUGE, ("view",),
           "Feature rows in cache.", lambda of: of.cached_rows()),
    Family("keyscore.feature.age", "s", Kind.HISTOGRAM, ("view",),
           "Seconds since the event time of the oldest value of a row that was used; only of one request in "
           "KEYSCORE_STAGE_SAMPLING (16 unless set), and of its first rows.", lambda of: of.tally.age_s),
    Family("keyscore.values", "{value}", Kind.COUNTER, ("view", "status"),
           "Values of stored features, by what the store said; of every request.", _values),
    Family("keyscore.values.substituted", "{value}", Kind.COUNTER, ("kind",),
           "Feature values used in place of the store's current ones.", lambda of: of.tally.substituted),
    # Store
    Family("keyscore.store.reads", "{read}", Kind.COUNTER, ("view", "outcome"),
           "Batched store reads.", lambda of: of.tally.reads),
    Family("keyscore.store.read.keys", "{key}", Kind.COUNTER, ("view",),
           "Keys asked for in store reads.", lambda of: of.tally.read_keys),
    Family("keyscore.store.read.duration", "s", Kind.HISTOGRAM, ("view",),
           "Batched store reads.", lambda of: of.tally.read_s),
    Family("keyscore.store.attempts", "{call}", Kind.COUNTER, ("view", "outcome", "kind"),
           "Calls to the store: first attempts, retries and hedges.", lambda of: of.tally.attempts),
    Family("keyscore.store.reads.refused", "{read}", Kind.COUNTER, ("view", "by"),
           "Reads refused before they reached the store.", lambda of: of.tally.refused),
    # Model
    Family("keyscore.scored.rows", "{row}", Kind.HISTOGRAM, (),
           "Rows per scoring call.", lambda of: {(): of.tally.rows}),
    Family("keyscore.prediction.score", "1", Kind.HISTOGRAM, (),
           "Probability of the last class; nothing for a regression.", lambda of: {(): of.tally.scores}),
    # The process and telemetry itself
    Family("keyscore.loop.lag", "s", Kind.HISTOGRAM, (),
           "How much later than asked the event loop came round, ten times a second.",
           lambda of: {(): of.tally.loop_lag_s}),
    Family("keyscore.telemetry.dropped", "{item}", Kind.COUNTER, ("signal",),
           "Exports of metrics, spans and log lines that never reached their destination.",
           lambda of: of.drops.counts()),
    Family("process.memory.usage", "By", Kind.GAUGE, (), "Resident memory.", lambda _: memory_bytes()),
    Family("process.cpu.time", "s", Kind.COUNTER, (), "User and system time, of all threads.", lambda _: cpu_s()),
    Family("process.open_file_descriptor.count", "{file_descriptor}", Kind.GAUGE, (),
           "Open files and sockets.", lambda _: open_descriptors()),
)  # fmt: skip
"""In the order in which `/metrics` and the dashboard show them."""
