"""Instances out of files and BigQuery, as the wire would have them; what is no row of its file is `Unreadable`."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import apache_beam as beam
import orjson
from apache_beam.coders import BytesCoder
from apache_beam.io import ReadFromBigQuery, ReadFromParquet, ReadFromText, fileio
from apache_beam.io.filesystems import FileSystems

from features.column_types import CellRefused, text_values
from features.file_names import format_named
from features.spec import Spec
from features.values import DType
from model.beam.dead_letters import Unreadable

BIGQUERY: Final = "bigquery:"
"""How the address of a table begins, `bigquery:project.dataset.table`, and that of a query, `bigquery:SELECT …`."""


class InputFormat(StrEnum):
    """What files of instances are written in."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class InputUnclear(Exception):
    """An input's address does not say what is there; the message says what to write."""


def format_of(address: str) -> InputFormat:
    """The format that a file's name or pattern tells; `.gz` behind it does not count.

    Raises:
        InputUnclear: It tells none.
    """
    told = format_named(address)
    if told not in list(InputFormat):
        raise InputUnclear(
            f"the name {address} does not tell what it is written in: say --format jsonl, csv or parquet"
        )
    return InputFormat(told)


class ReadInstances(beam.PTransform):
    """The instances of an input; what is none is `Unreadable`."""

    def __init__(self, address: str, spec: Spec, input_format: InputFormat | None = None) -> None:
        """Reads nothing yet.

        Args:
            address: A file, a pattern of files, local or `gs://`, or `bigquery:` and a table or query.
            spec: What instances hold; settles what a cell of CSV spells.
            input_format: What the files are written in; by their name if not given.

        Raises:
            InputUnclear: The name does not tell.
        """
        super().__init__()
        self._address = address
        self._spec = spec
        self._format = None if address.startswith(BIGQUERY) else input_format or format_of(address)

    def expand(self, begin: Any) -> Any:
        """See `PTransform.expand`.

        Raises:
            OSError: There is no such file.
        """
        match self._format:
            case InputFormat.JSONL:
                lines = begin | "Read lines" >> ReadFromText(self._address, coder=BytesCoder())
                return lines | "Parse" >> beam.FlatMap(parse_line)
            case InputFormat.CSV:
                _check_found(self._address)
                files = begin | "Match" >> fileio.MatchFiles(self._address) | "Open" >> fileio.ReadMatches()
                spread = files | "Spread" >> beam.Reshuffle()  # a file is read from its beginning, by one worker
                return spread | "Parse" >> beam.ParDo(ParseCsv(self._spec))
            case InputFormat.PARQUET:
                rows = begin | "Read rows" >> ReadFromParquet(self._address)
            case None:
                rows = begin | "Read table" >> _read_bigquery(self._address.removeprefix(BIGQUERY).strip())
        return rows | "As JSON" >> beam.Map(as_json)


def _check_found(address: str) -> None:
    """What Beam's own sources ask where the pipeline is made; matching files as it runs may find none unnoticed."""
    if not any(match.metadata_list for match in FileSystems.match([address], limits=[1])):
        raise OSError(f"No files found based on the file pattern {address}")


def _read_bigquery(what: str) -> Any:
    """Through the Storage API: no files in between that would need a bucket."""
    if any(map(str.isspace, what)):
        return ReadFromBigQuery(query=what, use_standard_sql=True, method=ReadFromBigQuery.Method.DIRECT_READ)
    return ReadFromBigQuery(table=what, method=ReadFromBigQuery.Method.DIRECT_READ)


def parse_line(line: bytes) -> Iterator[Any]:
    """What JSON makes of a line; nothing of a blank one."""
    if not line.strip():
        return
    try:
        yield orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        yield Unreadable(
            line.decode(errors="replace"), f"the line is not JSON in UTF-8: {error.msg} at byte {error.pos}"
        )


class ParseCsv(beam.DoFn):
    """Files of CSV become objects, one per row below the header; a cell is its text, or the number it spells."""

    def __init__(self, spec: Spec) -> None:
        """Knows which cells are more than text."""
        super().__init__()
        self._spelt: Mapping[str, DType] = {one.name: one.dtype for one in spec.fields}

    def process(self, file: Any) -> Iterator[Any]:
        """See `DoFn.process`.

        Raises:
            UnicodeDecodeError: The file is not UTF-8.
        """
        with file.open() as binary:
            rows = csv.reader(io.TextIOWrapper(binary, encoding="utf-8-sig", newline=""), strict=True)
            try:
                header = next(rows, [])
                twice = [name for at, name in enumerate(header) if name in header[:at]]
                if twice:
                    why = f"{file.metadata.path}: two columns are called {twice[0]!r}; give each a name of its own"
                    yield Unreadable(header, why)
                    return
                for cells in rows:
                    if cells:
                        yield self._row(header, cells, f"{file.metadata.path}: line {rows.line_num}")
            except csv.Error as error:
                where = f"{file.metadata.path}: line {rows.line_num}"
                yield Unreadable(
                    None, f"{where}: is not CSV from here on ({error}); later rows of the file are not read"
                )

    def _row(self, header: Sequence[str], cells: Sequence[str], where: str) -> Any:
        if len(cells) != len(header):
            return Unreadable(list(cells), f"{where}: holds {len(cells)} cells, the header {len(header)}")
        row: dict[str, Any] = {}
        for name, cell in zip(header, cells, strict=True):
            dtype = self._spelt.get(name, DType.STRING)
            try:
                row[name] = cell if dtype is DType.STRING else text_values([cell], dtype, declared=True)[0]
            except CellRefused as error:
                return Unreadable(dict(zip(header, cells, strict=True)), f"{where}: column {name!r} {error.reason}")
        return row


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of Parquet or BigQuery as JSON would hold it: decimals as numbers, moments as text."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return value.decode(errors="replace")
        case list() | tuple():
            return [_plain(one) for one in value]
        case dict():
            return {name: _plain(one) for name, one in value.items()}
    return value
