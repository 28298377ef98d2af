"""Is this machine quiet enough to judge on? Asked on both cores, while nothing is going on."""

import time
from typing import Final

import numpy as np

from load_tests.outcome import quantile
from load_tests.processes import LOAD_CORE, SERVICE_CORE, pinned

NOISE_BAR_S: Final = 0.005
"""Where an idle process wakes up later (p99), latencies tell of the machine and not of the service."""

_NAP_S: Final = 0.002


def wake_lag_p99_s(core: int, seconds: float = 1.0) -> float:
    """How late a process on a core wakes up, 99th percentile, in seconds."""
    lags = []
    with pinned(core):
        end = time.monotonic() + seconds
        while (before := time.monotonic()) < end:
            time.sleep(_NAP_S)
            lags.append(time.monotonic() - before - _NAP_S)
    return quantile(np.array(lags), 0.99)


def too_noisy() -> str | None:
    """Why nothing can be judged on this machine now, if so."""
    lag = max(wake_lag_p99_s(core) for core in (SERVICE_CORE, LOAD_CORE))
    if lag > NOISE_BAR_S:
        return f"the idle machine wakes up {lag * 1000:.1f} ms late (p99): too noisy to judge"
    return None
