"""Instances out of files and BigQuery, as the wire would have them; what is no row of its file is `Unreadable`."""

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import apache_beam as beam
import orjson
from apache_beam.io import ReadFromBigQuery, ReadFromParquet

from features.column_types import CellRefused, text_values
from features.csv_records import Records, RecordsBroken
from features.file_names import format_named
from features.spec import Spec
from features.values import DType
from model.beam.dead_letters import Unreadable
from model.beam.files import DAMAGED, FindStretches, Stretch, lines_within, opened

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
                lines = begin | "Find" >> FindStretches(self._address, whole=False)
                return lines | "Parse" >> beam.ParDo(ParseLines())
            case InputFormat.CSV:
                files = begin | "Find" >> FindStretches(self._address, whole=True)  # a record may hold line breaks
                return files | "Parse" >> beam.ParDo(ParseCsv(self._spec))
            case InputFormat.PARQUET:
                rows = begin | "Read rows" >> ReadFromParquet(self._address)
            case None:
                rows = begin | "Read table" >> _read_bigquery(self._address.removeprefix(BIGQUERY).strip())
        return rows | "As JSON" >> beam.Map(as_json)


def _read_bigquery(what: str) -> Any:
    """Through the Storage API: no files in between that would need a bucket."""
    if any(map(str.isspace, what)):
        return ReadFromBigQuery(query=what, use_standard_sql=True, method=ReadFromBigQuery.Method.DIRECT_READ)
    return ReadFromBigQuery(table=what, method=ReadFromBigQuery.Method.DIRECT_READ)


class ParseLines(beam.DoFn):
    """Stretches of files become what JSON makes of their lines; nothing of a blank one."""

    def process(self, stretch: Stretch) -> Iterator[Any]:
        """See `DoFn.process`."""
        end = stretch.start
        with opened(stretch.path) as file:
            try:
                for at, line in lines_within(file, stretch):
                    end = at + len(line)
                    if text := line.strip():
                        yield _parsed(text, f"{stretch.path}: the line at byte {at}")
            except DAMAGED as error:
                yield _cut_short(f"{stretch.path}: behind byte {end}", error)


def _parsed(text: bytes, where: str) -> Any:
    try:
        return orjson.loads(text.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        why = f"{where} is not JSON in UTF-8: {error.msg} at its byte {error.pos}"
        return Unreadable(text.decode(errors="replace"), why)


def _cut_short(where: str, error: Exception) -> Unreadable:
    why = f"the gzip file is cut short or damaged ({error}); what follows in it is not read, copy it again"
    return Unreadable(None, f"{where} {why}")


class ParseCsv(beam.DoFn):
    """Files of CSV become objects, one per row below the header; a cell is its text, or the number it spells."""

    def __init__(self, spec: Spec) -> None:
        """Knows which cells are more than text."""
        super().__init__()
        self._spelt: Mapping[str, DType] = {one.name: one.dtype for one in spec.fields}

    def process(self, stretch: Stretch) -> Iterator[Any]:
        """See `DoFn.process`."""
        path, line = stretch.path, 0
        with opened(path) as file:
            records = Records(file, path)
            try:
                header = records.header()
                wrong = _names_problem(header)
                while taken := records.take(1):  # one by one, so that none is lost to what comes behind it
                    if wrong is not None:
                        yield Unreadable(header, f"{path}: {wrong}")
                        return
                    (line,), (cells,) = taken.lines, taken.records
                    yield self._row(header, cells, taken.unreadable.get(0), f"{path}: line {line}")
            except RecordsBroken as error:
                yield Unreadable(None, f"{error}; later rows of the file are not read")
            except DAMAGED as error:
                yield _cut_short(f"{path}: behind line {line}", error)

    def _row(self, header: Sequence[str], cells: Sequence[str], unreadable: str | None, where: str) -> Any:
        if unreadable is not None:
            sent = dict(zip(header, cells, strict=True)) if any(cells) else None
            return Unreadable(sent, f"{where}: {unreadable}")
        row: dict[str, Any] = {}
        for name, cell in zip(header, cells, strict=True):
            dtype = self._spelt.get(name, DType.STRING)
            try:
                row[name] = cell if dtype is DType.STRING else text_values([cell], dtype, declared=True)[0]
            except CellRefused as error:
                return Unreadable(dict(zip(header, cells, strict=True)), f"{where}: column {name!r} {error.reason}")
        return row


def _names_problem(header: Sequence[str]) -> str | None:
    twice = [name for at, name in enumerate(header) if name in header[:at]]
    if twice:
        return f"two columns are called {twice[0]!r}; give each a name of its own"
    return None if header else "the first line must hold the columns' names"


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of Parquet or BigQuery as JSON would hold it: decimals as numbers, bytes as text or as `{"b64": …}`.

    JSON knows no moments, so they stay what they are, which neither a key nor a request field can be; how to spell them
    is for who wrote them to say. NaN is null.
    """
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return _plain(float(value))
        case float() if math.isnan(value):
            return None
        case bytes():
            return _text(value)
        case list() | tuple():
            return [_plain(one) for one in value]
        case dict():
            return {name: _plain(one) for name, one in value.items()}
    return value


def _text(value: bytes) -> str | dict[str, str]:
    """Text if the bytes are some; else what no key and no request field can be, so that none is taken for another."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}
