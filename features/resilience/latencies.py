"""Recent latencies and one high percentile of them, cheap enough to be kept for every call."""

from typing import Final

_REFRESH_EVERY: Final = 64  # the percentile lags by so many calls; sorting 512 floats that seldom costs 0.4 µs per call


class RecentLatencies:
    """The last 512 latencies in a ring, and their percentile as of the last refresh.

    A window of calls, not of time: a quiet night leaves yesterday's figures standing instead of none. Sorting a ring
    now and then is exact, needs no tuning and forgets completely, which streaming estimators (P2, t-digest) do not.

    Attributes:
        percentile_s: The percentile in seconds; None until there are enough samples to speak of one.
    """

    __slots__ = ("_count", "_enough", "_quantile", "_ring", "_window", "percentile_s")

    def __init__(self, *, quantile: float = 0.975, window: int = 512, enough: int = 128) -> None:
        """Begins with no samples.

        Args:
            quantile: Which one, in (0, 1).
            window: How many latencies to remember.
            enough: How many are needed first; at 128 three samples lie beyond the shipped percentile.
        """
        self._quantile = quantile
        self._window = window
        self._enough = enough
        self._ring: list[float] = []
        self._count = 0
        self.percentile_s: float | None = None

    def __repr__(self) -> str:
        known = "unknown" if self.percentile_s is None else f"{self.percentile_s * 1e3:.1f} ms"
        return f"<RecentLatencies p{self._quantile * 100:g} {known}, {len(self._ring)} samples>"

    def record(self, latency_s: float) -> None:
        """Remembers one latency in place of the oldest."""
        if len(self._ring) < self._window:
            self._ring.append(latency_s)
        else:
            self._ring[self._count % self._window] = latency_s
        self._count += 1
        if self._count % _REFRESH_EVERY == 0 and self._count >= self._enough:
            ordered = sorted(self._ring)
            self.percentile_s = ordered[int(self._quantile * len(ordered))]
