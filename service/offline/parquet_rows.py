"""Parquet: typed columns, which stay Arrow's from end to end; only what a model needs becomes Python's or numpy's."""

from collections.abc import Iterator
from itertools import starmap
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import InstanceInvalid, InvalidKey
from features.instances import field_values, rounded_floats
from features.keys import KeyPart, make_key_texts
from features.spec import RequestField
from features.values import DType, Value
from service.errors import TableError
from service.offline.chunks import CHUNK_BYTES, Chunk, Reading
from service.offline.sent import SentTable
from service.offline.table_inputs import TableInput
from service.parsing import ParsedRequest
from service.tables import checked_names, python_values

_BUFFER_BYTES: Final = 1 << 20
"""How much of a column is read at a time, so that memory does not follow the size of row groups."""

_NO_KEY: Final = ()
"""Stands for a value that is none of a key or a field, to be refused."""


class ParquetRows(TableInput):
    """An Apache Parquet file."""

    unit: ClassVar[str] = "row"

    def read(self, skip: int = 0) -> Reading:
        """See `Source.read`."""
        walk = self._walk(skip)
        return Reading(next(walk), walk)

    def _walk(self, skip: int) -> Iterator[Any]:
        """The schema, then the chunks."""
        try:
            with pq.ParquetFile(self._path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
                if not file.schema_arrow.names:
                    raise TableError(f"{self.name} holds no columns")
                names = checked_names(file.schema_arrow.names, self._path)
                self._check_names(names)
                yield {name: _without_view(file.schema_arrow.field(name).type) for name in names}
                total, done = file.metadata.num_rows, 0
                for batch in file.iter_batches(batch_size=min(self._chunk_rows, _rows_at_once(file.metadata))):
                    before, done = done, done + batch.num_rows
                    if done > skip:
                        table = _without_views(pa.table(batch.slice(max(0, skip - before))))
                        yield from self._chunks(table, max(skip, before), total)
        except pa.ArrowNotImplementedError as error:
            reason = str(error).partition("\n")[0]
            hint = "write it with other types, or with another compression"
            raise TableError(f"{self.name}: holds what cannot be read here ({reason}); {hint}") from error
        except (pa.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise TableError(f"{self.name}: is not a whole Parquet file ({reason}); write it again") from error

    def _chunks(self, table: Any, before: int, total: int) -> Iterator[Chunk]:
        """The chunks of a table: one, but where its columns take far more memory than they take in the file."""
        pieces = max(1, round(table.nbytes / CHUNK_BYTES))
        rows = max(1, -(-table.num_rows // pieces))
        for start in range(0, table.num_rows, rows):
            piece = table.slice(start, rows)
            done = before + start + piece.num_rows
            places = range(done - piece.num_rows + 1, done + 1)
            yield Chunk(self._understood(piece), places, SentTable(piece), done / total)

    def _understood(self, table: Any) -> ParsedRequest:
        request = self._request(table.num_rows)
        columns = [table.column(name).combine_chunks() for name in self._spec.input_names]
        n_keys = len(self._spec.keys)
        try:
            known = [_key_texts(column, part) for column, part in zip(columns, self._spec.keys, strict=False)]
            fields = [_field(column, one) for column, one in zip(columns[n_keys:], self._spec.fields, strict=True)]
        except (InvalidKey, InstanceInvalid):
            self._understand(request, [_python(column) for column in columns])
            return request
        request.instances.extend(starmap(_gathered, known), fields)
        request.instances.distinct = dict(enumerate(known))  # so that nobody has to find it out anew
        request.indexes.extend(range(request.size))
        return request


def _rows_at_once(metadata: Any) -> int:
    """How many rows take up what a chunk may, by the sizes that the file itself tells."""
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    widest = max((one.total_byte_size / one.num_rows for one in groups if one.num_rows), default=1.0)
    return max(1, int(CHUNK_BYTES / max(widest, 1.0)))


def _key_texts(column: Any, part: KeyPart) -> tuple[list[str], Any]:
    """The key of every distinct value, and which of them each row has; rows with the same key share its text."""
    distinct, codes = _distinct(column)
    return list(make_key_texts(distinct, part)) if distinct else [], codes


def _field(column: Any, declared: RequestField) -> list[Value]:
    kind = column.type
    if declared.dtype is DType.FLOAT and (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        if column.null_count:
            raise InstanceInvalid("null", field=declared.name)  # row by row it is said better
        # through float64, as Python does: of a large integer float32 alone may make another number
        numbers: list[Value] = rounded_floats(column.to_numpy().astype(np.float64), declared).tolist()
        return numbers
    distinct, codes = _distinct(column)
    return _gathered(field_values(distinct, declared), codes)


def _distinct(column: Any) -> tuple[list[Any], Any]:
    """The distinct values of a column, null among them, and where each row's is."""
    if _is_bytes(column.type):  # text, by old writers
        try:
            column = column.cast(pa.string())
        except pa.ArrowInvalid:
            raise InvalidKey("not UTF-8") from None  # row by row it is said better
    try:
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode(null_encoding="encode")
    except pa.ArrowNotImplementedError:
        raise InvalidKey("a list, a structure or a type of its own") from None  # same
    if encoded.null_count:
        raise InvalidKey("null")  # row by row it is said better
    return _python(encoded.dictionary), encoded.indices.to_numpy(zero_copy_only=False)


def _gathered(values: Any, codes: Any) -> list[Any]:
    told = np.empty(len(values), dtype=object)
    told[:] = values
    gathered: list[Any] = told[codes].tolist()
    return gathered


def _python(column: Any) -> list[Any]:
    """Python's values; NaN, which JSON does not know either, is null, and bytes that are text are that text."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    try:
        values = python_values(column)
    except UnicodeDecodeError:  # no writer of files is held to what a text is
        values, kind = column.cast(kind).cast(pa.binary()).to_pylist(), pa.binary()
    except (OverflowError, ValueError):  # a time that Python does not know, and no time can be a key or a field
        return [_NO_KEY if there else None for there in column.is_valid().to_pylist()]
    if _is_bytes(kind):
        return [None if value is None else _text(value) for value in values]
    if pa.types.is_floating(column.type):
        return [None if value != value else value for value in values]  # noqa: PLR0124  # only NaN differs from itself
    return values


def _without_views(table: Any) -> Any:
    """The same without views of text and bytes, of which Arrow can neither take some nor write CSV."""
    for at, field in enumerate(table.schema):
        kind = _without_view(field.type)
        if kind != field.type:
            table = table.set_column(at, field.with_type(kind), table.column(at).cast(kind))
    return table


def _without_view(kind: Any) -> Any:
    if pa.types.is_string_view(kind):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(kind) else kind


def _is_bytes(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value  # which neither a key nor a field can be
