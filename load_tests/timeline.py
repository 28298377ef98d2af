"""A run second by second, by when requests were due."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from load_tests.outcome import Flags, Floats, Outcome, quantile


@dataclass(frozen=True, slots=True)
class Timeline:
    """Figures per second of a run.

    Attributes:
        seconds: Beginning of each second.
        good: Good answers due in it.
        refused: Refusals.
        other: Everything else: late, wrong or no answers, other statuses.
        accepted_p50_ms: Median latency of the accepted; NaN where there were none.
        accepted_p99_ms: Their 99th percentile.
        refused_p99_ms: 99th percentile of the refused.
    """

    seconds: Floats
    good: Floats
    refused: Floats
    other: Floats
    accepted_p50_ms: Floats
    accepted_p99_ms: Floats
    refused_p99_ms: Floats

    @classmethod
    def of(cls, outcome: Outcome) -> "Timeline":
        """The timeline of a run."""
        count = max(int(np.ceil(outcome.seconds)), 1)
        places = np.clip(outcome.intended.astype(np.int64), 0, count - 1)
        widths = np.minimum(1.0, outcome.seconds - np.arange(count))  # the last second may be a part of one
        good = np.bincount(places[outcome.good], minlength=count) / widths
        refused = np.bincount(places[outcome.refused], minlength=count) / widths
        offered = np.bincount(places, minlength=count) / widths
        return cls(
            seconds=np.arange(count, dtype=np.float64),
            good=good,
            refused=refused,
            other=offered - good - refused,
            accepted_p50_ms=_by_second(outcome, places, count, outcome.accepted, 0.5),
            accepted_p99_ms=_by_second(outcome, places, count, outcome.accepted, 0.99),
            refused_p99_ms=_by_second(outcome, places, count, outcome.refused, 0.99),
        )


def _by_second(outcome: Outcome, places: npt.NDArray[np.int64], count: int, which: Flags, at: float) -> Floats:
    edges = np.searchsorted(places, np.arange(count + 1))
    return np.array(
        [quantile(outcome.latency[begin:end][which[begin:end]], at) * 1000 for begin, end in pairwise(edges.tolist())]
    )
