"""Rows as they came, in the three ways in which they come: JSON texts, columns of cells, Arrow tables."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import pyarrow as pa

from features.spec import Spec
from features.values import DType
from service.offline.arrow_values import values_of
from service.parsing import ParsedRequest

INSTANCE: Final = "instance"
"""The column that holds the whole instance as JSON where undeclared members are let through."""

ARROW: Final = {DType.FLOAT: pa.float64(), DType.INT: pa.int64(), DType.BOOL: pa.bool_(), DType.STRING: pa.string()}


def understood_types(spec: Spec, *, whole: bool) -> dict[str, Any]:
    """Arrow types of the columns that instances without columns of their own give.

    Args:
        spec: What instances hold.
        whole: Whether the instance itself is added, for what is not declared.
    """
    keys = {part.name: pa.string() for part in spec.keys}
    # a request's floats are float32 by now, and written so they are the digits that were sent
    fields = {one.name: pa.float32() if one.dtype is DType.FLOAT else ARROW[one.dtype] for one in spec.fields}
    return {**keys, **fields, **({INSTANCE: pa.string()} if whole else {})}


class SentTexts:
    """Rows that came as JSON values."""

    __slots__ = ("_request", "_texts", "_types")

    def __init__(self, texts: Sequence[bytes], request: ParsedRequest, types: Mapping[str, Any]) -> None:
        """Holds them.

        Args:
            texts: The JSON text of each row.
            request: What was understood of them.
            types: What `understood_types` says.
        """
        self._texts = texts
        self._request = request
        self._types = types

    def texts(self, at: Sequence[int] | None = None) -> list[bytes]:
        """See `Sent.texts`."""
        return list(self._texts) if at is None else [self._texts[index] for index in at]

    def columns(self) -> Mapping[str, Any]:
        """Keys and request fields as they were understood; null where they were not."""
        instances = self._request.instances
        understood: list[Sequence[Any]] = [*instances.keys, *instances.fields]
        values = [list(column) for column in understood]
        if self._request.failures:
            values = [self._spread(column) for column in values]
        if INSTANCE in self._types:
            values.append([text.decode() for text in self._texts])
        return {
            name: pa.array(column, type=kind) for (name, kind), column in zip(self._types.items(), values, strict=True)
        }

    def _spread(self, column: list[Any]) -> list[Any]:
        spread = [None] * self._request.size
        for index, value in zip(self._request.indexes, column, strict=True):
            spread[index] = value
        return spread


class SentCells:
    """Rows that came as text cells; those of number columns are numbers where they spell one."""

    __slots__ = ("_cells", "_types")

    def __init__(self, cells: Mapping[str, Sequence[Any]], types: Mapping[str, Any]) -> None:
        """Holds them.

        Args:
            cells: By column name.
            types: Arrow types of the same columns.
        """
        self._cells = cells
        self._types = types

    def texts(self, at: Sequence[int] | None = None) -> list[bytes]:
        """See `Sent.texts`."""
        columns = self._cells
        if at is not None:
            columns = {name: [cells[index] for index in at] for name, cells in self._cells.items()}
        return _objects(columns)

    def columns(self) -> Mapping[str, Any]:
        """See `Sent.columns`; a cell that does not spell what its column holds is null."""
        return {name: _array(cells, self._types[name]) for name, cells in self._cells.items()}


class SentTable:
    """Rows that came in an Arrow table."""

    __slots__ = ("_table",)

    def __init__(self, table: Any) -> None:
        """Holds it."""
        self._table = table

    def texts(self, at: Sequence[int] | None = None) -> list[bytes]:
        """See `Sent.texts`."""
        table = self._table if at is None else self._table.take(pa.array(at, type=pa.int64()))
        return _objects({name: values_of(table.column(name)) for name in table.column_names})

    def columns(self) -> Mapping[str, Any]:
        """See `Sent.columns`."""
        return {name: self._table.column(name) for name in self._table.column_names}


def json_text(value: Any) -> bytes:
    """Any value of a table as JSON."""
    return orjson.dumps(value, default=_told)


def _objects(columns: Mapping[str, Sequence[Any]]) -> list[bytes]:
    names = list(columns)
    return [json_text(dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _told(value: object) -> object:
    """What JSON does not know: bytes as Vertex AI writes them, anything else as its text."""
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else str(value)


def _array(cells: Sequence[Any], kind: Any) -> Any:
    try:
        return pa.array(cells, type=kind)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if isinstance(cell, str) else cell for cell in cells], type=kind)
