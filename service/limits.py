"""How many requests may be in flight, following measured latency.

The law is a gradient: what is measured is divided by what is wanted; above 1 the limit shrinks in proportion, below 1
it grows by its square root for as long as somebody is refused.

    pressure = mean(measured / wanted) over a window
    limit'   = limit · max(1/2, 1 / pressure)     when pressure > 1
               limit + √limit                     when pressure ≤ 1 and a request was refused
               limit                              otherwise

Source: the shape is that of Netflix/concurrency-limits' Gradient2Limit and Envoy's adaptive concurrency filter
(√limit as headroom, at most halved in one step). Unlike these it does not divide by an estimated no-load latency: in
one process warm answers take 0.3 ms and cold ones 10 ms, so the mix, not the load, would move that quotient. What a
single event loop can be short of is turns, and waiting for a turn is zero without load, whatever the mix. A store
that slows down is no reason to refuse requests that do not need it; it has a throttle and a bulkhead of its own.
"""

from math import sqrt
from typing import Final, Protocol

_WINDOW_S: Final = 0.1
"""One step of the limit; long enough for a few dozen samples, short enough to follow a burst."""

_LEAST: Final = 1.0
_INITIAL: Final = 64.0
"""Where the limit begins: as many as the connections of a usual load test, so that none of them is refused."""

_STALE_S: Final = 1.0
"""After so long without a sample the last window says nothing about now."""


class Limit(Protocol):
    """How many requests may be in flight."""

    @property
    def in_flight(self) -> int:
        """The limit now; at least 1."""
        ...

    def measured(self, pressure: float, now: float) -> None:
        """Takes one request's latency in.

        Args:
            pressure: The latency that was measured, as a multiple of the one that is wanted.
            now: The moment, on the monotonic clock.
        """
        ...

    def refused(self, now: float) -> None:
        """Notes that a request was refused because of this limit."""
        ...

    def pressure(self, now: float) -> float:
        """The latest mean pressure; 0 when there is none to speak of."""
        ...


class FixedLimit:
    """The same number at all times."""

    __slots__ = ("in_flight",)

    def __init__(self, in_flight: int) -> None:
        self.in_flight = in_flight

    def measured(self, pressure: float, now: float) -> None:
        """Does nothing: this limit does not move."""

    def refused(self, now: float) -> None:
        """Does nothing: this limit does not move."""

    def pressure(self, now: float) -> float:  # noqa: ARG002  # the protocol's signature
        """Nothing is known."""
        return 0.0


class GradientLimit:
    """Follows measured latency; see the module's text for the law."""

    __slots__ = ("_began", "_ceiling", "_count", "_last", "_limit", "_refused", "_sum", "in_flight")

    def __init__(self, ceiling: int, now: float) -> None:
        """Begins at `ceiling` or 64, whichever is less.

        Args:
            ceiling: The most that it may ever be.
            now: The moment, on the monotonic clock.
        """
        self._ceiling = float(ceiling)
        self._limit = min(_INITIAL, self._ceiling)
        self._began = now
        self._sum = 0.0
        self._count = 0
        self._refused = False
        self._last = 0.0
        self.in_flight = int(self._limit)

    def __repr__(self) -> str:
        return f"<GradientLimit {self.in_flight} of {self._ceiling:.0f}, pressure {self._last:.2f}>"

    def measured(self, pressure: float, now: float) -> None:
        """See `Limit.measured`."""
        self._sum += pressure
        self._count += 1
        if now - self._began >= _WINDOW_S:
            self._step(now)

    def refused(self, now: float) -> None:
        """See `Limit.refused`."""
        self._refused = True
        if now - self._began > _STALE_S:
            # Nobody has had to wait for a turn lately: the burst that shrank the limit is over, or all places are held
            # by requests that wait for something else.
            self._limit = max(self._limit, min(_INITIAL, self._ceiling))
            self._sum, self._count = 0.0, 1
            self._step(now)

    def pressure(self, now: float) -> float:
        """See `Limit.pressure`."""
        return self._last if now - self._began < _STALE_S else 0.0

    def _step(self, now: float) -> None:
        pressure = self._sum / self._count
        if pressure > 1:
            self._limit = max(_LEAST, self._limit * max(0.5, 1 / pressure))
        elif self._refused:
            self._limit = min(self._ceiling, self._limit + sqrt(self._limit))
        self.in_flight = int(self._limit)
        self._last = pressure
        self._began = now
        self._sum = 0.0
        self._count = 0
        self._refused = False
