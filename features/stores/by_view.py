"""Several stores behind one: each view has its own."""

import asyncio
from collections.abc import Mapping, Sequence

from features.deadline import Deadline
from features.spec import FeatureView
from features.stores.base import OnlineStore, ReadAnswer
from features.values import EntityKey


class StoreByView:
    """An `OnlineStore` that hands each read to the store that holds the view.

    So every host can have a guard of its own: one that fails or fills up says nothing about another.
    """

    __slots__ = ("_stores",)

    def __init__(self, stores: Mapping[str, OnlineStore]) -> None:
        """Knows a store for each view's name; several views may share one."""
        self._stores = dict(stores)

    def __repr__(self) -> str:
        return f"<StoreByView {self._stores!r}>"

    async def open(self) -> None:
        """See `OnlineStore.open`."""
        await asyncio.gather(*(store.open() for store in self._distinct()))

    async def read(
        self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline
    ) -> Mapping[EntityKey, ReadAnswer]:
        """See `OnlineStore.read`."""
        return await self._stores[view.name].read(view, keys, deadline)

    async def aclose(self) -> None:
        """See `OnlineStore.aclose`."""
        await asyncio.gather(*(store.aclose() for store in self._distinct()))

    def _distinct(self) -> list[OnlineStore]:
        return list({id(store): store for store in self._stores.values()}.values())
