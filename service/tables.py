"""Rows out of files: CSV, JSON lines and Parquet, a batch at a time. With `offline`, the door to pyarrow.

    file ──► open_table ──► Table.batches ──► Batch(columns, places) ──► column_types, loading

Nothing is typed or guessed here: a cell of CSV comes as its text, so "007" is still "007"; a value of JSON or Parquet
comes as what it is there. Memory is bounded by the batch (in Parquet, by the file's own row groups), and `batches`
may be walked several times, so that types can be settled by one walk and rows written by the next.

CSV is read by Python's own module: it knows the line of every record, also behind cells with line breaks, and says
where a quote was never closed. The values become Python objects in any case, which is where the time goes.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, Protocol, cast

from features.csv_records import csv_problem
from features.file_names import format_named
from service.errors import TableError

BATCH_ROWS: Final = 5_000
"""Rows at a time: enough that work per batch does not count, few enough to hold thousands of columns."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Format(StrEnum):
    """What a file is written in."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file, column by column.

    Attributes:
        columns: Values by the column's name; all lists are equally long.
        places: Line or row number of each row, from 1.
        share: How much of the file has been read by now, from 0 to 1.
    """

    columns: Mapping[str, Sequence[Any]]
    places: Sequence[int]
    share: float


class Table(Protocol):
    """A file that holds rows.

    Attributes:
        unit: What a place is: `line` or `row`.
        textual: Whether every cell is text whose type is still to be settled.
        uniform: Whether every batch names all columns.
    """

    unit: ClassVar[str]
    textual: ClassVar[bool]
    uniform: ClassVar[bool]

    @property
    def path(self) -> Path:
        """The file."""
        ...

    def batches(self) -> Iterator[Batch]:
        """All rows from the first on; a column that a batch does not name is null there.

        Raises:
            TableError: The file cannot be read to its end.
        """
        ...


def open_table(path: Path, file_format: Format | None = None) -> Table:
    """The table in a file; gzip is noticed by the file's first bytes.

    Args:
        path: The file.
        file_format: What it is written in; by its name if not given.

    Raises:
        TableError: There is no such file, it is empty, or its name does not tell the format.
    """
    try:
        if not path.is_file():
            raise TableError(f"{path} {'is not a file' if path.exists() else 'does not exist'}")
        if path.stat().st_size == 0:
            raise TableError(f"{path} is empty")
    except OSError as error:
        raise TableError(f"{path} is out of reach: {error.strerror}") from error
    kinds: dict[Format, type[CsvTable | JsonLinesTable | ParquetTable]] = {
        Format.CSV: CsvTable,
        Format.JSONL: JsonLinesTable,
        Format.PARQUET: ParquetTable,
    }
    return kinds[file_format or _format_of(path)](path)


def _format_of(path: Path) -> Format:
    told = format_named(path.name)
    if told not in list(Format):
        raise TableError(f"the name of {path} does not tell its format; say --format csv, jsonl or parquet")
    return Format(told)


@dataclass(frozen=True, slots=True)
class CsvTable:
    """Comma-separated text in UTF-8 with a header; every cell is text."""

    path: Path
    unit: ClassVar[str] = "line"
    textual: ClassVar[bool] = True
    uniform: ClassVar[bool] = True

    def batches(self) -> Iterator[Batch]:
        """See `Table.batches`."""
        with bytes_of(self.path) as (binary, file):
            lines = csv.reader(io.TextIOWrapper(binary, encoding="utf-8-sig", newline=""), strict=True)
            try:
                header = checked_names(next(lines, []), self.path)
                records = self._records(lines, len(header))
                while rows := list(islice(records, BATCH_ROWS)):
                    cells = zip(*(record for _, record in rows), strict=True)
                    columns = dict(zip(header, cells, strict=True))
                    yield Batch(columns, [line for line, _ in rows], _share(file, self.path))
            except csv.Error as error:
                raise TableError(f"{self.path}: line {lines.line_num}: {csv_problem(error)}") from error
            except UnicodeDecodeError as error:
                line = _first_line_not_utf8(self.path)
                raise TableError(f"{self.path}: line {line}: is not UTF-8 text; save the file as UTF-8") from error

    def _records(self, lines: Any, width: int) -> Iterator[tuple[int, list[str]]]:
        above = lines.line_num
        for record in lines:
            line, above = above + 1, lines.line_num  # a record begins on the line after the one before it
            if not record:
                continue  # a blank line
            if len(record) != width:
                raise TableError(f"{self.path}: line {line}: has {len(record)} cells, the header has {width}")
            yield line, record


@dataclass(frozen=True, slots=True)
class JsonLinesTable:
    """One JSON object in UTF-8 on every line; a column that a line does not name is null there."""

    path: Path
    unit: ClassVar[str] = "line"
    textual: ClassVar[bool] = False
    uniform: ClassVar[bool] = False

    def batches(self) -> Iterator[Batch]:
        """See `Table.batches`."""
        with bytes_of(self.path) as (binary, file):
            records = self._records(binary)
            while rows := list(islice(records, BATCH_ROWS)):
                names = dict.fromkeys(name for _, record in rows for name in record)
                columns = {name: [record.get(name) for _, record in rows] for name in names}
                yield Batch(columns, [line for line, _ in rows], _share(file, self.path))

    def _records(self, binary: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(binary, start=1):
            if not line.strip():
                continue
            try:
                # Python's own parser, because it keeps integers of any size, and reads the NaN that it also writes
                record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                raise TableError(f"{self.path}: line {number}: is not UTF-8 text; save the file as UTF-8") from error
            except (ValueError, RecursionError) as error:
                raise TableError(f"{self.path}: line {number}: is not JSON ({error})") from error
            if not isinstance(record, dict):
                raise TableError(f'{self.path}: line {number}: must be a JSON object, as in {{"id": "C1", "n": 1}}')
            yield number, record


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """An Apache Parquet file; decimals come as floats, timestamps as moments in UTC."""

    path: Path
    unit: ClassVar[str] = "row"
    textual: ClassVar[bool] = False
    uniform: ClassVar[bool] = True

    def batches(self) -> Iterator[Batch]:
        """See `Table.batches`."""
        import pyarrow as pa  # noqa: PLC0415  # takes 60 ms and 40 MB, and only this format needs it
        import pyarrow.parquet as pq  # noqa: PLC0415  # same

        try:
            with pq.ParquetFile(self.path) as file:
                names = checked_names(file.schema_arrow.names, self.path)
                total, read = file.metadata.num_rows, 0
                for chunk in file.iter_batches(batch_size=BATCH_ROWS):
                    columns = {name: python_values(chunk.column(at)) for at, name in enumerate(names)}
                    places = range(read + 1, read + chunk.num_rows + 1)
                    read += chunk.num_rows
                    yield Batch(columns, places, read / total)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise TableError(f"{self.path}: is not a whole Parquet file ({reason}); write it again") from error
        except OverflowError as error:
            raise TableError(f"{self.path}: holds a time outside the years 1 to 9999") from error


def python_values(column: Any) -> list[Any]:
    """An Arrow array as plain Python values."""
    import pyarrow as pa  # noqa: PLC0415  # imported already by whoever read the file

    kind = column.type
    if pa.types.is_dictionary(kind):
        return python_values(column.cast(kind.value_type))
    if pa.types.is_decimal(kind):  # Arrow's own cast makes 1.2000000000000002 of 1.2
        return [None if number is None else float(number) for number in column.to_pylist()]
    if pa.types.is_float16(kind):
        column = column.cast(pa.float64())
    if not pa.types.is_timestamp(kind):
        return list(column.to_pylist())
    # Through microseconds since 1970: needs no time zone database, and no pandas for nanoseconds.
    moments = column.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(pa.int64()).to_pylist()
    return [None if moment is None else _EPOCH + timedelta(microseconds=moment) for moment in moments]


@contextmanager
def bytes_of(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file's bytes, unzipped, and the file itself, whose position tells how far it has been read."""
    try:
        with path.open("rb") as file:
            if file.read(len(_GZIP_MAGIC)) != _GZIP_MAGIC:
                file.seek(0)
                yield file, file
                return
            file.seek(0)
            with gzip.open(file) as unzipped:
                yield cast(BinaryIO, unzipped), file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TableError(f"{path}: the gzip file is cut short or damaged ({error}); copy it again") from error
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror or error}") from error


def _share(file: BinaryIO, path: Path) -> float:
    return min(1.0, file.tell() / max(1, path.stat().st_size))


def checked_names(names: Sequence[str], path: Path) -> list[str]:
    """The names of a file's columns.

    Raises:
        TableError: There are none, or two are alike.
    """
    twice = [name for at, name in enumerate(names) if name in names[:at]]
    if twice:
        raise TableError(f"{path}: two columns are called {twice[0]!r}; give each a name of its own")
    if not names:
        raise TableError(f"{path}: the first line must hold the columns' names")
    return list(names)


def _first_line_not_utf8(path: Path) -> int:
    with bytes_of(path) as (binary, _):
        for number, line in enumerate(binary, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 0
