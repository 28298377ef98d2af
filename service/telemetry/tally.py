"""Events to numbers.

Counting is on the request's path, so it is integer additions into plain dictionaries; what an exporter wants is made
when it asks. Labels come from closed sets only (views of the spec, stages, routes, statuses), so no caller can make
series grow.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from features.events import CacheLookedUp, Event, ReadAttempted, ReadRefused, StoreRead
from service.events import (
    InstancesAssembled,
    RequestEnded,
    RequestRefused,
    RequestShed,
    RowsAged,
    RowsScored,
    StageEnded,
    ValuesSubstituted,
)
from service.telemetry.histogram import AGE_BUCKETS_S, DURATION_BUCKETS_S, ROWS_BUCKETS, SCORE_BUCKETS, Histogram


def _durations() -> Histogram:
    return Histogram(DURATION_BUCKETS_S)


def _ages() -> Histogram:
    return Histogram(AGE_BUCKETS_S)


class Tally:
    """An observer that counts.

    Attributes:
        requests: By route and status.
        request_s: Durations by route, of requests that were let in.
        stage_s: Durations by stage, of watched requests.
        lookups: Cache look-ups by view and result.
        reads: Store reads by view and outcome.
        read_keys: Keys read by view.
        attempts: Calls to the store by view, outcome and kind: what retries and hedges add to the reads.
        refused: Reads refused before they reached the store, by view and by whom.
        read_s: Durations of store reads by view.
        instances: Instances whose values were put together.
        absent: Their values that the store did not give as wanted, by view and status; all others were present.
        age_s: Ages of rows by event time, by view, in watched requests.
        rows: Rows per scoring call.
        scores: Probabilities of the last class.
        substituted: Values by kind.
        shed: Requests refused at admission, by partition and reason.
        loop_lag_s: How late the event loop was; counted by `LoopLag`, not by events.
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
        self.instances = 0
        self.absent: Counter[tuple[str, str]] = Counter()
        self.age_s: defaultdict[str, Histogram] = defaultdict(_ages)
        self.rows = Histogram(ROWS_BUCKETS)
        self.scores = Histogram(SCORE_BUCKETS)
        self.substituted: Counter[str] = Counter()
        self.shed: Counter[tuple[str, str]] = Counter()
        self.loop_lag_s = _durations()
        self._takers: Final[Mapping[type[Event], Callable[[Any], None]]] = {
            RequestEnded: self._request,
            RequestRefused: self._request_refused,
            StageEnded: self._stage,
            CacheLookedUp: self._lookup,
            StoreRead: self._read,
            ReadAttempted: self._attempt,
            ReadRefused: self._refused,
            InstancesAssembled: self._assembled,
            RowsAged: self._aged,
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

    def _request_refused(self, event: RequestRefused) -> None:
        self.requests[event.route, event.status] += 1

    def _stage(self, event: StageEnded) -> None:
        self.stage_s[event.stage].add(event.duration_s)

    def _lookup(self, event: CacheLookedUp) -> None:
        lookups, view = self.lookups, event.view  # written out, since this is counted more often than anything else
        if event.fresh:
            lookups[view, "fresh"] += event.fresh
        if event.stale:
            lookups[view, "stale"] += event.stale
        if event.negative:
            lookups[view, "negative"] += event.negative
        if event.miss:
            lookups[view, "miss"] += event.miss
        if event.coalesced:
            lookups[view, "coalesced"] += event.coalesced

    def _read(self, event: StoreRead) -> None:
        self.reads[event.view, event.outcome] += 1
        self.read_keys[event.view] += event.keys
        self.read_s[event.view].add(event.duration_s)

    def _attempt(self, event: ReadAttempted) -> None:
        self.attempts[event.view, event.outcome, event.kind] += 1

    def _refused(self, event: ReadRefused) -> None:
        self.refused[event.view, event.by] += 1

    def _assembled(self, event: InstancesAssembled) -> None:
        self.instances += event.instances
        if event.absent:
            self.absent.update(event.absent)

    def _aged(self, event: RowsAged) -> None:
        ages = self.age_s[event.view]
        for age_s in event.ages_s:
            ages.add(age_s)

    def _scored(self, event: RowsScored) -> None:
        self.rows.add(event.rows)
        if event.scores is not None:
            self.scores.add_all(event.scores)

    def _substitution(self, event: ValuesSubstituted) -> None:
        self.substituted["degraded"] += event.degraded
        self.substituted["defaulted"] += event.defaulted

    def _refusal(self, event: RequestShed) -> None:
        self.shed[event.partition, event.reason] += 1
