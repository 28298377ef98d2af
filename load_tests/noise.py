"""Is this machine quiet enough to judge on? Asked of an event loop that has nothing to do."""

import asyncio
import time
from typing import Final

import numpy as np

from load_tests.outcome import quantile

NOISE_BAR_S: Final = 0.005
"""Where an idle loop is late by more (p99), latencies tell of the machine and not of the service."""

_NAP_S: Final = 0.005


async def loop_lag_p99_s(seconds: float = 2.0) -> float:
    """How late an idle event loop wakes up, 99th percentile, in seconds."""
    lags = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        await asyncio.sleep(_NAP_S)
        lags.append(time.perf_counter() - before - _NAP_S)
    return quantile(np.array(lags), 0.99)


async def too_noisy(seconds: float = 2.0) -> str | None:
    """Why nothing can be judged on this machine now, if so."""
    lag = await loop_lag_p99_s(seconds)
    if lag > NOISE_BAR_S:
        return f"the idle machine is {lag * 1000:.1f} ms late (p99): too noisy to judge"
    return None
