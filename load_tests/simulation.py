"""A service in numbers only: outcomes as the generator would have made them, for tests of what judges them."""

import numpy as np

from load_tests.arrivals import Times, poisson
from load_tests.client import NOT_SENT
from load_tests.outcome import OK, REFUSED, Outcome


def simulate(
    times: Times,
    seconds: float,
    *,
    capacity: float = 1000.0,
    queue_s: float = 0.04,
    lag_s: float = 0.0,
    unsent: int = 0,
    refusal_cpu_s: float = 0.0001,
) -> Outcome:
    """A single server with a queue of `queue_s`, whose surplus is refused in 2 ms.

    Args:
        times: When requests arrive.
        seconds: Length of the run.
        capacity: Answers per second.
        queue_s: Longest wait; whoever would wait for longer is refused.
        lag_s: Send lag of every request.
        unsent: So many of the first requests were never sent.
        refusal_cpu_s: CPU seconds of a refusal; an answer takes `1 / capacity`.
    """
    free_at, latency, status = 0.0, [], []
    for time in times.tolist():
        wait = max(free_at - time, 0.0)
        if wait > queue_s:
            latency.append(0.002)
            status.append(REFUSED)
        else:
            free_at = time + wait + 1 / capacity
            latency.append(wait + 1 / capacity)
            status.append(OK)
    statuses = np.array(status, dtype=np.int16)
    statuses[:unsent] = NOT_SENT
    answers, refusals = int((statuses == OK).sum()), int((statuses == REFUSED).sum())
    used = answers / capacity + refusals * refusal_cpu_s
    return Outcome(
        seconds=seconds,
        deadline_s=1.0,
        intended=times,
        lag=np.full(times.size, lag_s),
        latency=np.array(latency),
        status=statuses,
        checked=times.size,
        cpu=((0.0, 5.0), (seconds, 5.0 + used)),
    )


def simulate_rate(
    rate: float, seconds: float, seed: int = 1, *, capacity: float = 1000.0, lag_s: float = 0.0
) -> Outcome:
    """The outcome of a steady rate; see `simulate`."""
    return simulate(poisson(rate, seconds, seed), seconds, capacity=capacity, lag_s=lag_s)


class Service:
    """A service whose capacity is known, to be found by a search.

    Args:
        capacity: Answers per second.
        lagging: Number of the first runs in which the generator lags.
        hiccups: Numbers of the runs (from 0) that the machine spoils with a long stall.

    Attributes:
        offered: Rate and seconds of every run.
    """

    def __init__(self, capacity: float, *, lagging: int = 0, hiccups: frozenset[int] = frozenset()) -> None:
        self._capacity = capacity
        self._lagging = lagging
        self._hiccups = hiccups
        self.offered: list[tuple[float, float]] = []

    async def offer(self, rate: float, seconds: float) -> Outcome:
        """What this rate comes to."""
        number = len(self.offered)
        self.offered.append((rate, seconds))
        capacity = self._capacity / 10 if number in self._hiccups else self._capacity
        lag_s = 0.02 if number < self._lagging else 0.0
        return simulate_rate(rate, seconds, number, capacity=capacity, lag_s=lag_s)
