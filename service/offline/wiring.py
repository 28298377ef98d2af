"""The composition root of offline scoring: settings in, an engine out; how it reads is told in `features.offline`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from features.clock import Clock, SystemClock
from features.freshness import Bounds
from features.offline.counts import Counts
from features.offline.pace import Pace
from features.offline.patience import PATIENCE_S
from features.offline.wiring import JOB_LIMITS, patient_reading
from features.stores.base import OnlineStore
from features.turns import Turns
from service.golden import self_test
from service.offline.scoring import OfflineScoring
from service.parameters import usual_parameters
from service.settings import Platform, Settings
from service.wiring import assembler_of, opened


@asynccontextmanager
async def offline_scoring(
    settings: Settings,
    platform: Platform,
    *,
    max_reads_per_s: float | None = None,
    threads: int = 1,
    patience_s: float = PATIENCE_S,
    store: OnlineStore | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[OfflineScoring]:
    """An engine whose bundle has proved itself; ends what it began when the context is left.

    Args:
        settings: Which bundle and store.
        platform: Where this runs.
        max_reads_per_s: Keys to read from the store per second, all views together; None for as fast as it goes.
        threads: Threads for CatBoost.
        patience_s: For how long a read is tried again while the store does not answer.
        store: Where to read features instead of where the settings say.
        clock: The time instead of the machine's.

    Raises:
        StartError: It cannot start; one line for the operator.
    """
    bounds = Bounds(max_age_s=usual_parameters(settings.parameters).max_age_s)
    clock = clock or SystemClock()
    counts = Counts()
    turns = Turns(clock)
    async with opened(settings, platform, clock, counts, store=store, turns=turns, limits=JOB_LIMITS) as (
        bundle,
        opened_store,
    ):
        assembler = assembler_of(bundle)
        self_test(bundle, assembler)
        pace = None if max_reads_per_s is None else Pace(max_reads_per_s, clock)
        async with patient_reading(
            bundle.spec.views,
            opened_store,
            clock,
            counts,
            max_rows=settings.cache_rows,
            pace=pace,
            patience_s=patience_s,
            turns=turns,
        ) as reading:
            yield OfflineScoring(bundle, assembler, reading, counts, clock=clock, threads=threads, bounds=bounds)
