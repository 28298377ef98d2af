"""Does the store hold what the spec asks for? In words, before a request finds out."""

from collections.abc import Iterator, Mapping

from features.spec import FeatureView, Spec
from features.stores.base import DescribedStore, OnlineStore, StoredView
from features.values import DType

_FITS = {
    DType.FLOAT: (DType.FLOAT, DType.INT, DType.BOOL),
    DType.INT: (DType.INT,),
    DType.BOOL: (DType.BOOL,),
    DType.STRING: (DType.STRING, DType.INT),
}
"""Stored types that a declared type can be made of; see `features.values.as_dtype`."""


async def store_problems(spec: Spec, store: OnlineStore) -> list[str]:
    """What the spec asks for and the embedded store does not hold; nothing for stores that do not tell.

    Raises:
        StoreError: The store cannot be read.
    """
    if not isinstance(store, DescribedStore):
        return []
    stored = await store.views()
    return [problem for view in spec.views for problem in view_problems(view, stored)]


def view_problems(view: FeatureView, stored: Mapping[str, StoredView]) -> Iterator[str]:
    """What the spec asks of one view and the store does not hold, in words and with what to do."""
    found = stored.get(view.name)
    keys = tuple(part.name for part in view.entity.keys)
    options = " ".join(f"--key {key}" for key in keys)
    if found is None:
        yield f"the store has no view {view.name!r}; fill it with `keyscore load {view.name} FILE {options}`"
        return
    if len(found.keys) != len(keys):
        yield (
            f"view {view.name!r} is stored under {', '.join(found.keys)}, the spec reads it by {', '.join(keys)}; "
            f"load it again with `{options}`"
        )
    for column in view.layout.columns:
        dtype = found.columns.get(column.name)
        if dtype is None:
            yield f"view {view.name!r} is stored without the column {column.name!r}; load it again with that column"
        elif dtype not in _FITS[column.dtype]:
            yield (
                f"column {column.name!r} of view {view.name!r} is stored as {dtype}, the spec reads it as "
                f"{column.dtype}; load it again with `--dtype {column.name}={column.dtype}`"
            )
