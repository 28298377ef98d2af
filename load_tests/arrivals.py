"""Arrivals: when requests are meant to be sent, decided before the first one is.

Callers do not wait for each other, so the gaps between them are exponential: a Poisson process. The same seed gives the
same arrivals, whatever the service does meanwhile.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]
"""Seconds after the start, ascending."""


def poisson(rate: float, seconds: float, seed: int | Sequence[int]) -> Times:
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


def stages(plan: Sequence[tuple[float, float]], seed: int) -> Times:
    """Arrivals whose mean rate changes in steps: spikes, overload between stretches of normal load.

    Args:
        plan: Rate (per second) and length (in seconds) of each stretch, in order.
        seed: The same seed gives the same arrivals.
    """
    begin, found = 0.0, []
    for number, (rate, seconds) in enumerate(plan):
        found.append(begin + poisson(rate, seconds, [seed, number]))
        begin += seconds
    return np.concatenate(found)
