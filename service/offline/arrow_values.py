"""Arrow's values as Python's, whatever a column holds: nobody loses a job to a column that only passes through."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from service.tables import python_values


def values_of(column: Any) -> Sequence[Any]:
    """Python's values; Arrow's own text of moments and spans of time that Python has no type for.

    Nanoseconds are such, but for a column of timestamps, of which microseconds are enough. They are told as text where
    Python has a type for a value, too, so that values of one column do not differ in kind.

    Raises:
        ArrowException: There is no such text.
        UnicodeDecodeError: A text within a list or a structure is none.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_timestamp(column.type) or "[ns" not in str(column.type):
        try:
            return python_values(column)
        except UnicodeDecodeError:  # no writer is held to what a text is
            if pa.types.is_nested(column.type):
                raise
            texts = column.cast(pa.binary()).to_pylist()
            return [None if one is None else one.decode(errors="replace") for one in texts]
        except (OverflowError, ValueError):  # years beyond 9999, or nanoseconds within an extension
            pass
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    values: list[Any] = column.cast(_told(column.type)).to_pylist()
    return values


def is_time(kind: Any) -> bool:
    """Whether values of a type are dates, times, moments or spans of time."""
    types = pa.types
    return any(one(kind) for one in (types.is_date, types.is_time, types.is_timestamp, types.is_duration))


def _told(kind: Any) -> Any:
    """The same type with text in the place of times."""
    if is_time(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_told(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_told(kind.key_type), _told(kind.item_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_told(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(_told(kind.value_type))
    return pa.large_list(_told(kind.value_type)) if pa.types.is_large_list(kind) else kind
