"""What a run of the generator came to: one row of plain arrays per arrival, and the figures taken from them."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

from load_tests.client import FAILURE_NAMES, NOT_SENT, PENDING

SEND_LAG_BAR_S: Final = 0.005
"""A generator that sends later than this (p99) measures itself: its run is void."""

OK: Final = 200
REFUSED: Final = 503

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """An answer that the check did not accept.

    Attributes:
        index: Number of the arrival; with the run's seed it names the request.
        reason: What is wrong, in a phrase.
    """

    index: int
    reason: str


@dataclass(frozen=True)
class Outcome:
    """One run.

    Attributes:
        seconds: Length of the run, from the first to the last intended arrival.
        deadline_s: What the answers count against: one that is later is no goodput.
        intended: When each request was due, in seconds after the start.
        lag: Seconds between that and its sending.
        latency: Seconds from when it was due to its answer; NaN if it got none.
        status: HTTP status, or a failure (see `client`).
        wrong: Answers that the check did not accept.
        checked: Answers that were checked.
        cpu: When, and how many CPU seconds the service's processes had used by then; empty if nobody watched.
    """

    seconds: float
    deadline_s: float
    intended: Floats
    lag: Floats
    latency: Floats
    status: npt.NDArray[np.int16]
    wrong: tuple[WrongAnswer, ...] = ()
    checked: int = 0
    cpu: tuple[tuple[float, float], ...] = ()

    @property
    def offered(self) -> int:
        """Arrivals in all."""
        return int(self.status.size)

    @property
    def offered_rate(self) -> float:
        """Arrivals per second."""
        return self.offered / self.seconds

    @cached_property
    def accepted(self) -> Flags:
        """Which arrivals were answered with 200."""
        return np.equal(self.status, OK)

    @cached_property
    def refused(self) -> Flags:
        """Which arrivals were refused with 503."""
        return np.equal(self.status, REFUSED)

    @cached_property
    def good(self) -> Flags:
        """Which were answered with 200, rightly, within the deadline."""
        good = self.accepted & (self.latency <= self.deadline_s)
        good[[one.index for one in self.wrong]] = False
        return good

    @property
    def goodput(self) -> float:
        """Good answers per second."""
        return float(self.good.sum()) / self.seconds

    @property
    def errors(self) -> int:
        """Arrivals that were not answered with 200, whoever is to blame."""
        return self.offered - int(self.accepted.sum())

    @property
    def error_share(self) -> float:
        """Share of arrivals that were not answered with 200."""
        return self.errors / max(self.offered, 1)

    @property
    def failures(self) -> int:
        """Arrivals that got no HTTP answer at all."""
        return int((self.status <= PENDING).sum())

    @property
    def void(self) -> str | None:
        """Why this run proves nothing, if so."""
        if not self.offered:
            return "no arrivals"
        lag = self.lag_p99_s
        if lag > SEND_LAG_BAR_S:
            return f"send lag p99 is {lag * 1000:.1f} ms: the generator was too slow"
        return None

    @property
    def eased(self) -> str | None:
        """Why the service had it easier than stated, if so: passing then proves nothing, failing does."""
        unsent = int((self.status == NOT_SENT).sum())
        return f"{unsent} requests were not sent: every connection was busy" if unsent else None

    @property
    def lag_p99_s(self) -> float:
        """99th percentile of the send lag, in seconds."""
        return quantile(self.lag, 0.99)

    @property
    def cpu_s(self) -> float:
        """CPU seconds that the service used from the first to the last arrival; NaN if nobody watched."""
        if not self.cpu:
            return float("nan")
        times, used = zip(*self.cpu, strict=True)
        begun, ended = np.interp([0.0, self.seconds], times, used)
        return float(ended - begun)

    def counts(self) -> dict[str, int]:
        """Arrivals by status or by the name of their failure."""
        found = Counter(self.status.tolist())
        return {FAILURE_NAMES.get(status, str(status)): found[status] for status in sorted(found)}

    def p(self, quantile_: float, which: Flags | None = None) -> float:
        """A quantile of the latency, in seconds; of the accepted unless others are named. NaN if there are none."""
        return quantile(self.latency[self.accepted if which is None else which], quantile_)

    def part(self, from_s: float, to_s: float) -> "Outcome":
        """The arrivals due between two times, as a run of its own."""
        inside = (self.intended >= from_s) & (self.intended < to_s)
        numbers = np.flatnonzero(inside)
        places = {int(number): place for place, number in enumerate(numbers)}
        return Outcome(
            seconds=to_s - from_s,
            deadline_s=self.deadline_s,
            intended=self.intended[inside] - from_s,
            lag=self.lag[inside],
            latency=self.latency[inside],
            status=self.status[inside],
            wrong=tuple(WrongAnswer(places[one.index], one.reason) for one in self.wrong if one.index in places),
            cpu=tuple((at - from_s, used) for at, used in self.cpu),
        )

    def histogram(self, which: Flags | None = None) -> HdrHistogram:
        """Latencies in microseconds, 1 us to 1 minute in three digits; of the accepted unless others are named."""
        histogram = HdrHistogram(1, 60_000_000, 3)
        taken = self.latency[self.accepted if which is None else which]
        values, counts = np.unique(
            np.clip(np.nan_to_num(taken) * 1e6, 1, 60_000_000).astype(np.int64), return_counts=True
        )
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            histogram.record_value(value, count)
        return histogram


def quantile(values: Floats, at: float) -> float:
    """A quantile, the higher neighbour where it falls between two values; NaN of nothing."""
    return float(np.quantile(values, at, method="higher")) if values.size else float("nan")
