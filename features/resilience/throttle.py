"""Client-side throttling: when a backend refuses most calls, most calls are not even made.

A call that is bound to be refused still costs the backend the refusal, and costs us a place and a wait. So the caller
counts what it wanted and what was accepted, and lets a wish through with the probability that keeps the two within a
factor `k`: the backend sees at most `k` times what it can take.

Source: Site Reliability Engineering, "Handling Overload", client-side throttling. Two things differ, because the book
has fleets in mind that run for days, and we want the first good read within a second of the end of an outage:

- The window is 1 s, not two minutes. After an outage the accepted share grows like e^(k t / window): from 10 calls/s
  to 95 % of 50, 200, 1,000 calls/s in 1, 2, 3 s; with a window of 10 s that takes 12, 20, 30 s, with the book's the
  better part of an hour. The growth is a slow start, which a backend that has just come back can use.
- One call is let through whenever none was for 0.1 s. By the formula alone a full outage is probed about once per
  window; this finds its end within 0.1 s, costs a dead backend 10 calls/s, and means that somebody who makes fewer
  than 10 calls/s, who can overload nothing, is never refused because of a failure or two.
"""

import random
from collections.abc import Callable
from typing import Final

from features.clock import Clock

_BUCKETS: Final = 10  # what leaves the window leaves it in tenths: fine enough, and each call costs a few additions

_RECOVERED: Final = 4
"""Accepted calls in a row after which an outage is over. Of a backend that still refuses 90 % this happens once in ten
thousand calls; without it, requests that need several calls each come through long after the first call does."""


class AdaptiveThrottle:
    """Refuses a call with probability max(0, (requests - k * accepts) / (requests + 1)).

    `requests` are the calls of the last `window_s` that were answered for, plus those that were refused here; `accepts`
    are those that the backend accepted. A call counts when its outcome is known, not when it is made: calls that are
    under way say nothing yet, and must not look like refusals when a slow backend meets a burst.

    Attributes:
        refused: Calls refused here so far.
    """

    __slots__ = (
        "_accepted",
        "_accepts",
        "_admitted_at",
        "_bucket_s",
        "_clock",
        "_good_in_a_row",
        "_k",
        "_probe_every_s",
        "_random",
        "_requested",
        "_requests",
        "_tick",
        "refused",
    )

    def __init__(
        self,
        clock: Clock,
        *,
        k: float = 2.0,
        window_s: float = 1.0,
        probe_every_s: float = 0.1,
        random: Callable[[], float] = random.random,
    ) -> None:
        """Begins with an empty window.

        Args:
            clock: The time.
            k: How much more than it accepts the backend is sent, at least 1. The book's 2 lets through all calls until
                half of them are refused, and then sends one in vain for each that is accepted.
            window_s: How long an outcome counts.
            probe_every_s: When no call was let through for so long, the next one is.
            random: Uniform over [0, 1).
        """
        self._clock = clock
        self._k = k
        self._bucket_s = window_s / _BUCKETS
        self._probe_every_s = probe_every_s
        self._random = random
        self._requested = [0] * _BUCKETS
        self._accepted = [0] * _BUCKETS
        self._requests = 0
        self._accepts = 0
        self._good_in_a_row = 0
        self._tick = 0
        self._admitted_at = clock.monotonic()
        self.refused = 0

    def __repr__(self) -> str:
        self._roll(self._clock.monotonic())
        return (
            f"<AdaptiveThrottle {self._accepts} of {self._requests} accepted within {self._bucket_s * _BUCKETS:g} s, "
            f"refuses {self.refusal_probability:.0%}, refused {self.refused} so far>"
        )

    @property
    def refusal_probability(self) -> float:
        """The formula, for the window as it was when last looked at."""
        return max(0.0, (self._requests - self._k * self._accepts) / (self._requests + 1))

    def admit(self) -> bool:
        """Whether a call may be made now; one that may not has been counted."""
        now = self._clock.monotonic()
        self._roll(now)
        probability = self.refusal_probability
        if probability > 0.0 and now - self._admitted_at < self._probe_every_s and self._random() < probability:
            self.refused += 1
            self._count(accepted=0)
            return False
        self._admitted_at = now
        return True

    def record(self, accepted: bool) -> None:  # noqa: FBT001  # the one thing there is to say about an outcome
        """Counts the outcome of a call that was made.

        Args:
            accepted: False if the backend was overloaded, out of reach or too slow; True for any other answer, "no such
                thing" and nonsense too, since sending less would not change it. Of a call that was given up for
                reasons of our own nothing is to be recorded.
        """
        self._roll(self._clock.monotonic())
        self._count(accepted=int(accepted))
        self._good_in_a_row = self._good_in_a_row + 1 if accepted else 0
        if self._good_in_a_row >= _RECOVERED and self.refusal_probability > 0.0:
            self._forget()

    def _count(self, *, accepted: int) -> None:
        at = self._tick % _BUCKETS
        self._requested[at] += 1
        self._requests += 1
        self._accepted[at] += accepted
        self._accepts += accepted

    def _forget(self) -> None:
        self._requested = [0] * _BUCKETS
        self._accepted = [0] * _BUCKETS
        self._requests = self._accepts = 0

    def _roll(self, now: float) -> None:
        """Moves on to the bucket of `now`; the buckets passed on the way are what leaves the window."""
        tick = int(now / self._bucket_s)
        for passed in range(max(self._tick + 1, tick - _BUCKETS + 1), tick + 1):
            at = passed % _BUCKETS
            self._requests -= self._requested[at]
            self._accepts -= self._accepted[at]
            self._requested[at] = self._accepted[at] = 0
        self._tick = tick
