"""What a job has done so far, for its progress and its closing summary."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from features.events import Event, StoreRead
from features.freshness import oldest_event
from features.judging import Assembly
from features.spec import FeatureView
from features.values import Retrieved

_row: Final = attrgetter("row")
_event_time: Final = attrgetter("event_time")


@dataclass(slots=True)
class Counts:
    """What a job has done so far.

    Attributes:
        instances: Instances looked at.
        failed: Instances that could not be scored.
        reads: Batched reads of the store that ended, failed ones too.
        keys_read: Keys in those that succeeded.
        degraded: Values, of instances that were scored, substituted because of an error.
        defaulted: Declared defaults, of instances that were scored, used for absent values.
        absent: Values that are not present, by view and status, failed instances' too.
        oldest_age_s: Age by event time, when it was used, of the oldest value that was not too old; None if no value
            is dated.
    """

    instances: int = 0
    failed: int = 0
    reads: int = 0
    keys_read: int = 0
    degraded: int = 0
    defaulted: int = 0
    absent: dict[tuple[str, str], int] = field(default_factory=dict)
    oldest_age_s: float | None = None

    def observe(self, event: Event, /) -> None:
        """Counts reads: this is the retrieval's observer."""
        if isinstance(event, StoreRead):
            self.reads += 1
            self.keys_read += event.keys if event.outcome == "ok" else 0

    def add(
        self,
        assembly: Assembly,
        views: Sequence[FeatureView],
        max_age_s: float | None = None,
        unscored: int = 0,
    ) -> None:
        """Counts what was judged of one chunk.

        Args:
            assembly: What was judged.
            views: The spec's.
            max_age_s: How old a value was allowed to be, if its view allows more.
            unscored: How many instances failed only after that.
        """
        self.instances += len(assembly.instances)
        self.failed += len(assembly.failures) + unscored
        self.degraded += sum(assembly.degraded.values())
        self.defaulted += sum(assembly.defaulted.values())
        for place, values in assembly.absent.items():
            self.absent[place] = self.absent.get(place, 0) + values
        for view, rows in zip(views, assembly.retrieved, strict=True):
            happened = _oldest(rows, oldest_event(assembly.wall, view.max_age_s, max_age_s))
            if happened is not None:
                oldest_s = max(0.0, assembly.wall - happened)  # a clock may run ahead
                self.oldest_age_s = max(oldest_s, self.oldest_age_s or 0.0)


def _oldest(retrieved: Sequence[Retrieved], since: float | None) -> float | None:
    """The earliest event time among rows, of those from `since` on; None if none is dated."""
    rows = [row for row in map(_row, retrieved) if row is not None]
    if since is None:
        return min([time for time in map(_event_time, rows) if time is not None], default=None)
    each = ((row.event_time,) if row.event_times is None else row.event_times for row in rows)
    return min((time for times in each for time in times if time is not None and time >= since), default=None)
