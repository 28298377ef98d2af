"""Which online store a worker reads: addresses, which travel to the workers; connections do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from features.clock import Clock
from features.events import Observer
from features.offline.wiring import JOB_LIMITS
from features.spec import FeatureView
from features.stores.base import OnlineStore, ReadMode
from features.stores.sqlite import SqliteStore


class StoreAddress(Protocol):
    """Something that can be pickled and knows how to reach a store."""

    def connect(self, views: Sequence[FeatureView], clock: Clock, observer: Observer) -> OnlineStore:
        """A store that holds these views, not open yet.

        Raises:
            StoreError: A view cannot be in such a store.
        """
        ...


@dataclass(frozen=True, slots=True)
class SqliteAddress:
    """The embedded store's file, which every worker must have: on one machine, or in the workers' image."""

    path: Path

    def connect(self, views: Sequence[FeatureView], clock: Clock, observer: Observer) -> OnlineStore:  # noqa: ARG002  # a file is a file
        """See `StoreAddress.connect`."""
        return SqliteStore(self.path)


@dataclass(frozen=True, slots=True)
class VertexAddress:
    """Vertex AI Feature Store, or an emulator.

    Attributes:
        endpoint: host:port in place of the views' regional hosts.
        rest_endpoint: The same for looking views up at the start.
        plaintext: Neither TLS nor credentials, for an emulator.
        mode: How to read several keys.
    """

    endpoint: str | None = None
    rest_endpoint: str | None = None
    plaintext: bool = False
    mode: ReadMode = ReadMode.AUTO

    def connect(self, views: Sequence[FeatureView], clock: Clock, observer: Observer) -> OnlineStore:
        """See `StoreAddress.connect`."""
        # grpc and google-auth are not needed where the embedded store is read
        from features.stores.vertex_by_region import vertex_by_region  # noqa: PLC0415
        from features.stores.vertex_credentials import GoogleTokens  # noqa: PLC0415

        tokens = None if self.plaintext else GoogleTokens()
        return vertex_by_region(
            views,
            tokens,
            clock,
            observer,
            endpoint=self.endpoint,
            rest_endpoint=self.rest_endpoint,
            mode=self.mode,
            limits=JOB_LIMITS,
        )
