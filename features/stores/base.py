"""What every online store can do, and nothing else.

One contract suite (`tests/contracts/`) runs against every store.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from features.deadline import Deadline
from features.errors import StoreError
from features.spec import FeatureView
from features.values import DType, EntityKey, FeatureRow

ReadAnswer = FeatureRow | StoreError | None
"""What a read says about one key: its row, why it could not be had, or None for "there is no row"."""

Decode = Callable[[], Awaitable[Mapping[EntityKey, ReadAnswer]]]
"""Makes answers of what a store has sent. That is our own work: how long it takes says nothing about the store."""


class ReadMode(StrEnum):
    """How a remote store is asked for several keys."""

    AUTO = "auto"
    """By a stream where the host knows it, else one by one."""

    STREAMING = "streaming"
    UNARY = "unary"


class OnlineStore(Protocol):
    """A place that holds the latest feature row of every entity."""

    async def open(self) -> None:
        """Makes the store ready to be read, inside the running event loop.

        Raises:
            StoreError: It cannot be reached or is not what it should be.
        """
        ...

    async def read(
        self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline
    ) -> Mapping[EntityKey, ReadAnswer]:
        """Reads the rows of distinct `keys` in one batch.

        Args:
            view: The feature view to read.
            keys: Distinct entity keys, at least one.
            deadline: When the answer is worth nothing any more; the store may give up then.

        Returns:
            An answer for each key. A key that is left out counts as a malformed answer.

        Raises:
            StoreError: The whole read failed.
        """
        ...

    async def aclose(self) -> None:
        """Gives connections and threads back; reads under way may fail."""
        ...


@runtime_checkable
class RemoteStore(Protocol):
    """A store that can be read in two steps, so that who watches the store's time watches nothing of ours."""

    async def ask(self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline) -> Decode:
        """Has the store answer; what it sent is whole and says how the read went, and its rows are not decoded yet.

        Args:
            view: See `OnlineStore.read`.
            keys: See `OnlineStore.read`.
            deadline: See `OnlineStore.read`; decoding raises `StoreTimeout` when it passes.

        Raises:
            StoreError: The whole read failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class StoredView:
    """A view as a store declares it.

    Attributes:
        keys: Names of the key columns, in order.
        columns: Column name to type.
    """

    keys: tuple[str, ...]
    columns: Mapping[str, DType]


@runtime_checkable
class DescribedStore(Protocol):
    """A store that also tells what it holds, so that a spec can be checked against it before a request is."""

    async def views(self) -> dict[str, StoredView]:
        """The views that it holds, by name.

        Raises:
            StoreError: It cannot be read.
        """
        ...

    async def row_counts(self) -> dict[str, int]:
        """How many rows each view holds, by the view's name; may have to look at all of them.

        Raises:
            StoreError: It cannot be read.
        """
        ...

    async def example_key(self, view: str) -> str | None:
        """The text of some key that the view holds a row for; None if it holds none.

        Raises:
            StoreError: It cannot be read.
        """
        ...
