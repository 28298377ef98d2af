"""Vertex AI Feature Store as a whole: per host one channel and one guard; misses of the same moment are one read."""

from collections import defaultdict
from collections.abc import Sequence

from features.clock import Clock
from features.events import Observer
from features.spec import FeatureView
from features.stores.base import OnlineStore, ReadMode
from features.stores.by_view import StoreByView
from features.stores.coalescing import CoalescingStore
from features.stores.guarded import GuardedStore, GuardLimits
from features.stores.vertex import VertexStore, region_of
from features.stores.vertex_channel import RECEIVE_LIMIT_BYTES, TokenSource
from features.turns import Turns


def vertex_by_region(
    views: Sequence[FeatureView],
    tokens: TokenSource | None,
    clock: Clock,
    observer: Observer,
    *,
    endpoint: str | None = None,
    rest_endpoint: str | None = None,
    mode: ReadMode = ReadMode.AUTO,
    receive_limit_bytes: int = RECEIVE_LIMIT_BYTES,
    turns: Turns | None = None,
    limits: GuardLimits | None = None,
) -> StoreByView:
    """A store for all these views.

    Args:
        views: The views to read.
        tokens: Who we are; None for plaintext without credentials, as to an emulator.
        clock: The time.
        observer: Who learns of attempts and refusals.
        endpoint: See `VertexStore`.
        rest_endpoint: See `VertexStore`.
        mode: See `VertexStore`.
        receive_limit_bytes: See `VertexStore`.
        turns: Where long work waits for its turn.
        limits: How each host is guarded; None for what suits requests.

    Raises:
        StoreError: A view names no feature view of Vertex AI.
    """
    regions: defaultdict[str, list[FeatureView]] = defaultdict(list)
    for view in views:
        regions[endpoint or region_of(view)].append(view)
    stores: dict[str, OnlineStore] = {}
    for together in regions.values():
        vertex = VertexStore(
            together,
            tokens,
            endpoint=endpoint,
            rest_endpoint=rest_endpoint,
            mode=mode,
            receive_limit_bytes=receive_limit_bytes,
            turns=turns,
        )
        guarded = CoalescingStore(GuardedStore(vertex, clock, observer, limits or GuardLimits()))
        stores.update(dict.fromkeys((view.name for view in together), guarded))
    return StoreByView(stores)
