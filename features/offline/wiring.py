"""How a job reads a spec's views: the service's own parts, set up for who does not wait for milliseconds.

Where a request has milliseconds, a job has minutes, and the store's quota is not its own:

- A view's own `read_timeout` is what a payment can wait; a job gives each read of a few hundred keys ten seconds.
- A row is used for the view's TTL and its stale-while-revalidate together, then read anew. Online, too, an answer's
  values may be as old as that, while a refresh goes on behind it; so the promise is the same, with fewer reads.
- No hedges: a second read helps somebody who waits, and costs the store another one.
- No retries within milliseconds: they are made by the job's own patience, at its pace, so that they count.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from features.clock import Clock
from features.events import Observer
from features.offline.pace import Pace
from features.offline.patience import PATIENCE_S, Patience
from features.offline.reading import PatientReading
from features.retrieval import Retrieval
from features.spec import FeatureView
from features.stores.base import OnlineStore
from features.stores.guarded import GuardLimits
from features.turns import Turns

JOB_LIMITS: Final = GuardLimits(attempts=1, hedge_ratio=0.0)
"""How a remote store is guarded for a job."""

_READ_TIMEOUT_S: Final = 10.0


@asynccontextmanager
async def patient_reading(
    views: Sequence[FeatureView],
    store: OnlineStore,
    clock: Clock,
    observer: Observer,
    *,
    max_rows: int,
    pace: Pace | None = None,
    patience_s: float = PATIENCE_S,
    turns: Turns | None = None,
) -> AsyncIterator[PatientReading]:
    """Reads the views of one spec; ends its reads when the context is left.

    Args:
        views: The spec's views.
        store: An open store.
        clock: The time.
        observer: Who learns of look-ups and reads.
        max_rows: Rows to remember per view, for as long as the view allows.
        pace: How fast keys may be read; None for as fast as it goes.
        patience_s: For how long a read is tried again while the store does not answer.
        turns: Where long work waits for its turn.
    """
    retrieval = Retrieval(
        list(map(_patient, views)),
        store,
        clock,
        observer,
        max_rows=max_rows,
        read_timeout_s=_READ_TIMEOUT_S,
        turns=turns,
    )
    try:
        yield PatientReading(retrieval, clock, Patience(clock, patience_s), pace)
    finally:
        await retrieval.aclose()


def _patient(view: FeatureView) -> FeatureView:
    """The view as a job reads it."""
    ttl_s = view.cache.ttl_s + view.cache.stale_while_revalidate_s
    return replace(view, read_timeout_s=None, cache=replace(view.cache, ttl_s=ttl_s, stale_while_revalidate_s=0.0))
