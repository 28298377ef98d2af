"""Which online store the settings mean, with everything around it that keeps it bearable."""

from typing import TYPE_CHECKING

from features.clock import Clock
from features.events import Observer
from features.spec import Spec
from features.stores.base import OnlineStore
from features.stores.guarded import GuardLimits
from features.stores.sqlite import SqliteStore
from features.turns import Turns
from service.errors import StartError
from service.settings import Settings

if TYPE_CHECKING:
    from features.stores.vertex_channel import TokenSource  # brings grpc along


def embedded_store(settings: Settings) -> SqliteStore | None:
    """The embedded store, if that is the one; it can be asked what it holds before there is a spec."""
    return SqliteStore(settings.sqlite_path) if settings.store == "sqlite" else None


def vertex_store(
    settings: Settings,
    spec: Spec,
    clock: Clock,
    observer: Observer,
    *,
    receive_limit_bytes: int | None = None,
    turns: Turns | None = None,
    limits: GuardLimits | None = None,
) -> OnlineStore:
    """Vertex AI Feature Store: per host one channel and one guard; misses of the same moment are one read.

    Args:
        settings: Where it is and how to read it.
        spec: The views to read.
        clock: The time.
        observer: Who learns of attempts and refusals.
        receive_limit_bytes: The largest answer taken; None for the shipped limit.
        turns: Where long work waits for its turn.
        limits: How the store is guarded; None for what suits requests.

    Raises:
        StoreError: A view names no feature view of Vertex AI.
        StartError: Google itself would be asked without TLS.
    """
    # grpc takes 0.05 s and 20 MB, and the embedded store needs none of it
    from features.stores.vertex_by_region import vertex_by_region  # noqa: PLC0415
    from features.stores.vertex_channel import RECEIVE_LIMIT_BYTES  # noqa: PLC0415

    return vertex_by_region(
        spec.views,
        tokens_of(settings),
        clock,
        observer,
        endpoint=settings.vertex_endpoint,
        rest_endpoint=settings.vertex_rest_endpoint,
        mode=settings.vertex_read,
        receive_limit_bytes=receive_limit_bytes or RECEIVE_LIMIT_BYTES,
        turns=turns,
        limits=limits,
    )


def tokens_of(settings: Settings) -> "TokenSource | None":
    """Who we are to Vertex AI; None for an emulator, which is not told.

    Raises:
        StartError: Google itself would be asked without TLS.
    """
    if settings.vertex_plaintext:
        if settings.vertex_endpoint is None:
            raise StartError("KEYSCORE_VERTEX_PLAINTEXT is for an emulator; name it in KEYSCORE_VERTEX_ENDPOINT")
        return None
    from features.stores.vertex_credentials import GoogleTokens  # noqa: PLC0415  # not needed by the embedded store

    return GoogleTokens()
