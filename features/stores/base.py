"""What every online store can do, and nothing else.

One contract suite (`tests/contracts/`) runs against every store.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from features.deadline import Deadline
from features.errors import StoreError
from features.spec import FeatureView
from features.values import EntityKey, FeatureRow

ReadAnswer = FeatureRow | StoreError | None
"""What a read says about one key: its row, why it could not be had, or None for "there is no row"."""


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
