"""How old is too old: ages against bounds. Pure.

Two clocks, never mixed. *Since the read*: a row in cache is fresh until its `ttl`, then stale, then expired. Both
stale windows start when the `ttl` ends:

    read ──── ttl ────┬── stale_while_revalidate ──►  served at once while one refresh runs
              fresh   └── stale_if_error ──────────►  served only because the store fails

*Since the event*: a value older than the tighter of the view's `max_age` and the caller's is outside its age,
whatever the cache says; an undated value fails any such bound.

Source: RFC 9111 (fresh, stale, age), RFC 5861 (the two stale windows).
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from features.spec import CachePolicy


class Freshness(Enum):
    """What may be done with a row, by the time since it was read."""

    FRESH = auto()
    STALE = auto()
    STALE_IF_ERROR = auto()
    EXPIRED = auto()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one request demands of the values it is scored with.

    Attributes:
        read_since: A row must come from a read that began at this instant of the monotonic clock or later;
            None for as old as the view's cache policy allows.
        max_age_s: How old a value may be by its event time; None for as old as the view allows.
    """

    read_since: float | None = None
    max_age_s: float | None = None

    @classmethod
    def of_request(cls, arrived: float, max_cached_s: float | None, max_age_s: float | None) -> "Bounds":
        """The bounds of a request that arrived at `arrived` of the monotonic clock."""
        if max_cached_s is None and max_age_s is None:
            return _UNBOUNDED
        return cls(None if max_cached_s is None else arrived - max_cached_s, max_age_s)


_UNBOUNDED: Final = Bounds()


def judge_read(late_s: float, policy: CachePolicy) -> Freshness:
    """What may be done with a row whose TTL ended `late_s` seconds ago.

    Args:
        late_s: Seconds since the end of the row's own TTL (the policy's, shortened by jitter); below 0 before that.
        policy: The view's cache policy.
    """
    if late_s < 0:
        return Freshness.FRESH
    if late_s < policy.stale_while_revalidate_s:
        return Freshness.STALE
    if late_s < policy.stale_if_error_s:
        return Freshness.STALE_IF_ERROR
    return Freshness.EXPIRED


def oldest_event(now: float, view_max_age_s: float | None, request_max_age_s: float | None) -> float | None:
    """The earliest event time that still counts, by the tighter bound; None where nothing is bounded.

    Args:
        now: Unix seconds.
        view_max_age_s: The view's own bound.
        request_max_age_s: The caller's bound.
    """
    bounds = [bound for bound in (view_max_age_s, request_max_age_s) if bound is not None]
    return now - min(bounds) if bounds else None


def too_old(event_time: float | None, oldest: float | None) -> bool:
    """Whether a value of this event time fails the bound `oldest`; an undated value fails any."""
    return oldest is not None and (event_time is None or event_time < oldest)
