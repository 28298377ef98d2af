"""The composition root of offline scoring: settings in, an engine out; the service's own parts, set up for jobs.

Where a request has milliseconds, a job has minutes, and the store's quota is not its own:

- A view's own `read_timeout` is what a payment can wait; a job gives each read of a few hundred keys ten seconds.
- A row is used for the view's TTL and its stale-while-revalidate together, then read anew. Online, too, an answer's
  values may be as old as that, while a refresh goes on behind it; so the promise is the same, with fewer reads.
- No hedges: a second read helps somebody who waits, and costs the store another one.
- No retries within milliseconds: they are made by the job's own patience, at its pace, so that they count.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from features.clock import Clock, SystemClock
from features.retrieval import Retrieval
from features.spec import FeatureView
from features.stores.base import OnlineStore
from features.stores.guarded import GuardLimits
from features.turns import Turns
from service.golden import self_test
from service.offline.counts import Counts
from service.offline.pace import Pace
from service.offline.patience import PATIENCE_S, Patience
from service.offline.reading import PatientReading
from service.offline.scoring import OfflineScoring
from service.settings import Platform, Settings
from service.wiring import assembler_of, opened

_READ_TIMEOUT_S: Final = 10.0
_LIMITS: Final = GuardLimits(attempts=1, hedge_ratio=0.0)


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
    clock = clock or SystemClock()
    counts = Counts()
    turns = Turns()
    async with opened(settings, platform, clock, counts, store=store, turns=turns, limits=_LIMITS) as (
        bundle,
        opened_store,
    ):
        assembler = assembler_of(bundle)
        self_test(bundle, assembler)
        retrieval = Retrieval(
            list(map(_patient, bundle.spec.views)),
            opened_store,
            clock,
            counts,
            max_rows=settings.cache_rows,
            read_timeout_s=_READ_TIMEOUT_S,
            turns=turns,
        )
        pace = None if max_reads_per_s is None else Pace(max_reads_per_s, clock)
        reading = PatientReading(retrieval, clock, Patience(clock, patience_s), pace)
        try:
            yield OfflineScoring(bundle, assembler, reading, counts, clock=clock, threads=threads)
        finally:
            await retrieval.aclose()


def _patient(view: FeatureView) -> FeatureView:
    """The view as a job reads it."""
    ttl_s = view.cache.ttl_s + view.cache.stale_while_revalidate_s
    return replace(view, read_timeout_s=None, cache=replace(view.cache, ttl_s=ttl_s, stale_while_revalidate_s=0.0))
