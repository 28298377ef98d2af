"""What happened, as frozen facts, and the one seam through which observers learn of it.

The core states facts and imports no metrics library; what becomes of them (counters, spans, nothing) is decided
where the service is wired. Source of the pattern: hynek/stamina's `instrumentation`.
"""

from dataclasses import dataclass
from typing import Protocol


class Event:
    """Marker for facts that may be handed to an `Observer`."""

    __slots__ = ()


class Observer(Protocol):
    """Somebody who wants to know."""

    def observe(self, event: Event, /) -> None:
        """Takes note; must be quick, must not block and must not raise."""
        ...


@dataclass(frozen=True, slots=True)
class CacheLookedUp(Event):
    """One request looked its distinct keys of one view up.

    Attributes:
        view: Name of the feature view.
        fresh: Keys answered by rows within their TTL.
        stale: Keys answered by rows past their TTL while a refresh runs.
        negative: Keys that are known to have no row.
        miss: Keys that a read had to be started for.
        coalesced: Keys whose read was already under way.
    """

    view: str
    fresh: int = 0
    stale: int = 0
    negative: int = 0
    miss: int = 0
    coalesced: int = 0


@dataclass(frozen=True, slots=True)
class StoreRead(Event):
    """One batched read of one view ended.

    Attributes:
        view: Name of the feature view.
        keys: How many distinct keys it asked for.
        duration_s: How long it took.
        outcome: `ok`, the `outcome` of the `StoreError` that ended it, or `cancelled` when the service was closed.
    """

    view: str
    keys: int
    duration_s: float
    outcome: str


@dataclass(frozen=True, slots=True)
class ReadAttempted(Event):
    """One attempt at a read ended. A `StoreRead` is made of one or more of these, or of none if it was refused.

    Attributes:
        view: Name of the feature view.
        keys: How many keys it asked for.
        duration_s: How long it took.
        outcome: `ok`, the `outcome` of the `StoreError` that ended it (`timeout` too when its deadline did), or
            `cancelled` when it was not needed any more.
        kind: `first`, `retry` or `hedge`.
    """

    view: str
    keys: int
    duration_s: float
    outcome: str
    kind: str


@dataclass(frozen=True, slots=True)
class ReadRefused(Event):
    """A read was refused on our side of the wire, to spare the store or ourselves.

    Attributes:
        view: Name of the feature view.
        by: `throttle`, because the store refuses most reads; `bulkhead`, because too many are in flight.
    """

    view: str
    by: str


class Nobody:
    """An observer that takes no note; the default where nobody asked."""

    __slots__ = ()

    def observe(self, event: Event, /) -> None:
        """Does nothing, on purpose."""
