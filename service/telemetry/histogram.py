"""Counts of values by fixed upper bounds."""

from bisect import bisect_left
from typing import Final

import numpy as np
from numpy.typing import NDArray

DURATION_BUCKETS_S: Final = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds in seconds. The conventional ones begin at 5 ms, which would hide every cache hit; the last one is the
longest deadline."""

AGE_BUCKETS_S: Final = (1.0, 10.0, 60.0, 300.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0, 2_592_000.0)
"""From a second to thirty days: streams, hourly and nightly jobs, and jobs that have died."""

ROWS_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1_000, 10_000)

SCORE_BUCKETS: Final = tuple(round(0.05 * n, 2) for n in range(1, 21))
"""Twenty steps of a probability, ends included."""

_FEW: Final = 32
"""Values that are counted one by one sooner than by numpy, whose calls cost 4 µs together."""


class Histogram:
    """Counts of values by fixed upper bounds; a value on a bound is not above it, as Prometheus has it.

    Attributes:
        bounds: Upper bounds, ascending.
        counts: How many values fell into each bucket; one more than bounds, for what is above all of them.
        total: Sum of the values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Counts one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add_all(self, values: NDArray[np.float64]) -> None:
        """Counts each of `values`, `(n,)`."""
        if len(values) <= _FEW:
            for value in values.tolist():
                self.add(value)
            return
        found = np.bincount(np.searchsorted(self.bounds, values, side="left"), minlength=len(self.counts))
        self.counts = [had + more for had, more in zip(self.counts, found.tolist(), strict=True)]
        self.total += float(values.sum())

    def copy(self) -> "Histogram":
        """The same counts, which stay as they are; safe while another thread counts."""
        twin = Histogram(self.bounds)
        twin.counts, twin.total = list(self.counts), self.total
        return twin
