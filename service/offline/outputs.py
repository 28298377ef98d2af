"""Predictions in files: what is written for a chunk, a part, and the whole, in each format.

    encoded chunk ─► PartFile ─► (parts, one after the other) ─► Joined ─► the output

A part of Parquet is an Arrow stream: it costs next to nothing to write and to read again, and an Arrow table of many
parts becomes one Parquet file as it should be, with row groups of a good size.
"""

import csv
import errno
import io
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from service.offline.arrow_values import is_time, values_of
from service.offline.formats import OutputFormat
from service.offline.sent import json_text

_COPY_BYTES: Final = 1 << 20
_CSV: Final = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
_OF_CSV: Final = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    is_time,
)
"""Types that Arrow writes as CSV."""


class PartFile(Protocol):
    """A file that takes what is written for chunks."""

    def write(self, encoded: Any) -> None:
        """Adds a chunk."""
        ...

    def close(self) -> None:
        """Everything is with the operating system."""
        ...


class Joined(Protocol):
    """A file that is made of whole parts."""

    def append(self, part: Path) -> None:
        """Adds a part."""
        ...

    def close(self) -> None:
        """Everything is with the operating system."""
        ...


class BytesPart:
    """A part of JSON lines or CSV: the very bytes of the output."""

    __slots__ = ("_file",)

    def __init__(self, file: BinaryIO) -> None:
        """Takes a file over."""
        self._file = file

    def write(self, encoded: Any) -> None:
        """See `PartFile.write`."""
        self._file.write(encoded if isinstance(encoded, bytes) else csv_bytes(encoded))

    def close(self) -> None:
        """See `PartFile.close`."""
        self._file.close()


class ArrowPart:
    """A part of Parquet."""

    __slots__ = ("_file", "_writer")

    def __init__(self, file: BinaryIO, schema: Any) -> None:
        """Takes a file over."""
        self._file = file
        self._writer = pa.ipc.new_stream(file, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))

    def write(self, encoded: Any) -> None:
        """See `PartFile.write`."""
        self._writer.write_table(encoded)

    def close(self) -> None:
        """See `PartFile.close`."""
        try:
            self._writer.close()
        finally:
            self._file.close()


class JoinedBytes:
    """JSON lines or CSV."""

    __slots__ = ("_file",)

    def __init__(self, path: Path, head: bytes = b"") -> None:
        """Begins the file.

        Args:
            path: Where.
            head: What comes before the first part.
        """
        self._file = path.open("wb")
        self._file.write(head)

    def append(self, part: Path) -> None:
        """See `Joined.append`."""
        with part.open("rb") as file:
            shutil.copyfileobj(file, self._file, _COPY_BYTES)

    def close(self) -> None:
        """See `Joined.close`."""
        self._file.close()


class JoinedParquet:
    """Parquet, one row group a part."""

    __slots__ = ("_file", "_writer")

    def __init__(self, path: Path, schema: Any) -> None:
        """Begins the file."""
        # of numbers few come twice, so that a dictionary of them is time lost
        texts = [one.name for one in schema if pa.types.is_string(one.type) or pa.types.is_large_string(one.type)]
        self._file = path.open("wb")
        self._writer = pq.ParquetWriter(self._file, schema, use_dictionary=texts or False)

    def append(self, part: Path) -> None:
        """See `Joined.append`."""
        with pa.OSFile(str(part)) as file, pa.ipc.open_stream(file) as reader:
            table = reader.read_all()
        if table.num_rows:
            self._writer.write_table(table, row_group_size=table.num_rows)

    def close(self) -> None:
        """See `Joined.close`."""
        try:
            self._writer.close()
        finally:
            self._file.close()


def part_file(file_format: OutputFormat, path: Path, schema: Any) -> PartFile:
    """A new part.

    Args:
        file_format: Of the output.
        path: Where; what is there is replaced.
        schema: Arrow's, where the output is a table.
    """
    return ArrowPart(path.open("wb"), schema) if file_format is OutputFormat.PARQUET else BytesPart(path.open("wb"))


def joined_file(file_format: OutputFormat, path: Path, schema: Any) -> Joined:
    """A new output, of no part yet; arguments as of `part_file`."""
    if file_format is OutputFormat.PARQUET:
        return JoinedParquet(path, schema)
    return JoinedBytes(path, head_of(file_format, schema))


def head_of(file_format: OutputFormat, schema: Any) -> bytes:
    """What an output begins with."""
    return csv_line(schema.names) if file_format is OutputFormat.CSV else b""


def csv_line(cells: Sequence[str]) -> bytes:
    """A line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def csv_bytes(table: Any) -> bytes:
    """Rows as CSV: numbers in the fewest digits that read back to them, text in quotes where it needs them."""
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(_plain(table), sink, _CSV)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _plain(table: Any) -> Any:
    """The same without types that CSV does not know.

    Lists, structures and bytes that are no text become JSON, dictionaries what they hold.
    """
    for at, field in enumerate(table.schema):
        column = table.column(at)
        if pa.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        if not any(one(column.type) for one in _OF_CSV):
            texts = [None if one is None else _text(one) for one in values_of(column)]
            column = pa.array(texts, type=pa.string())
        if column.type != field.type:
            table = table.set_column(at, field.name, column)
    return table


def _text(value: Any) -> str:
    """Text as it is, anything else as JSON."""
    with suppress(UnicodeDecodeError):
        if isinstance(value, bytes):
            return value.decode()
    told = json_text(value)
    return str(orjson.loads(told)) if told.startswith(b'"') else told.decode()


def placed(made: Path, path: Path) -> None:
    """The file that was made is at `path` as a whole, be that in another file system; what was there is replaced."""
    try:
        made.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = path.with_name(f"{path.name}.making")
        shutil.copyfile(made, beside)
        synced(beside)
        beside.replace(path)


def synced(path: Path) -> None:
    """What was written to a file or entered into a directory is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
