"""Arrivals: when requests are meant to be sent, decided before the first one is.

Callers do not wait for each other, so the gaps between them are exponential: a Poisson process. The same seed gives the
same arrivals, whatever the service does meanwhile.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]
"""Seconds after the start, ascending."""


def poisson(rate: float, seconds: float, seed: int) -> Times:
    """Arrivals at a steady mean rate.

    Args:
        rate: Arrivals per second, on average.
        seconds: Length of the run.
        seed: The same seed gives the same arrivals.
    """
    if not (rate > 0 and seconds > 0):
        raise ValueError("rate and seconds must be above zero")
    generator = np.random.default_rng(seed)
    mean = rate * seconds
    spare = int(mean + 6 * math.sqrt(mean)) + 16
    times = np.cumsum(generator.exponential(1 / rate, spare))
    while times[-1] < seconds:
        more = np.cumsum(generator.exponential(1 / rate, spare))
        times = np.concatenate([times, times[-1] + more])
    return np.ascontiguousarray(times[times < seconds])


def varying(rate_at: Callable[[float], float], peak: float, seconds: float, seed: int) -> Times:
    """Arrivals whose mean rate is a function of time: candidates at the peak rate, thinned.

    Source: Lewis and Shedler, "Simulation of nonhomogeneous Poisson processes by thinning" (1979).

    Args:
        rate_at: Arrivals per second at a time after the start.
        peak: A rate that `rate_at` never exceeds.
        seconds: Length of the run.
        seed: The same seed gives the same arrivals.

    Raises:
        ValueError: `rate_at` exceeds the peak, so that the arrivals would be too few.
    """
    candidates = poisson(peak, seconds, seed)
    rates = np.array([rate_at(float(time)) for time in candidates])
    if rates.size and rates.max() > peak * (1 + 1e-9):
        raise ValueError("the rate exceeds its stated peak")
    draws = np.random.default_rng([seed, 1]).random(candidates.size)
    return np.ascontiguousarray(candidates[draws * peak < rates])


def spikes(base: float, peak: float, *, every_s: float, length_s: float) -> Callable[[float], float]:
    """A rate that jumps from `base` to `peak` for `length_s` at the end of each period of `every_s`."""

    def rate_at(time: float) -> float:
        return peak if time % every_s >= every_s - length_s else base

    return rate_at
