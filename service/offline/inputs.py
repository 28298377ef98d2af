"""Which input is meant, and whether it can be begun with."""

import hashlib
import os
from pathlib import Path
from typing import Any, Final

from features.spec import Spec
from service.errors import JobRefused, TableError
from service.offline.chunks import CHUNK_ROWS, Source
from service.offline.csv_rows import CsvRows
from service.offline.formats import STREAM, InputFormat, OutputFormat
from service.offline.jsonl import JsonLines, TFRecords
from service.offline.parquet_rows import ParquetRows
from service.offline.streams import Wake

_ENDS_BYTES: Final = 64 << 10
"""How much of an input's beginning and end is looked at to tell it from another one."""

_GZIP_MAGIC: Final = b"\x1f\x8b"


def check_input(path: Path, file_format: InputFormat) -> None:
    """Says at once what would be found out when the model is loaded.

    Raises:
        TableError: There is nothing to read.
        JobRefused: It cannot be read like this.
    """
    if path == STREAM:
        if file_format is InputFormat.PARQUET:
            raise JobRefused("Parquet is read from its end, which stdin does not allow: name a file")
        return
    try:
        if path.is_dir() or not path.exists():
            raise TableError(f"{path} {'is a directory' if path.exists() else 'does not exist'}")
        if path.is_file() and path.stat().st_size == 0:
            raise TableError(f"{path} is empty")
        if file_format is InputFormat.PARQUET and path.is_file():
            with path.open("rb") as file:
                if file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC:
                    raise TableError(f"{path} is gzipped, which Parquet, compressed as it is, cannot be: gunzip it")
    except OSError as error:
        raise TableError(f"{path} is out of reach: {error.strerror}") from error


def fingerprint(path: Path) -> dict[str, Any]:
    """What tells an input from another one, or from itself after a change.

    Files of rows of a fixed width that were unpacked in the same second differ in neither size nor time, so the ends of
    their contents count, too.

    Raises:
        TableError: It cannot be read.
    """
    try:
        found = path.stat()
        told = {"size": found.st_size, "modified": found.st_mtime_ns}
        return {**told, "ends": _ends(path, found.st_size)} if path.is_file() else told
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror or error}") from error


def _ends(path: Path, size: int) -> str:
    """A digest of the first and the last 64 KiB."""
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(_ENDS_BYTES))
        file.seek(max(0, size - _ENDS_BYTES), os.SEEK_SET)
        digest.update(file.read(_ENDS_BYTES))
    return digest.hexdigest()[:16]


def source_of(
    path: Path,
    file_format: InputFormat,
    spec: Spec,
    *,
    extra: bool,
    wake: Wake,
    output: OutputFormat,
    chunk_rows: int = CHUNK_ROWS,
) -> Source:
    """The input.

    Args:
        path: The file, or stdin.
        file_format: What it is written in.
        spec: What instances hold.
        extra: Whether undeclared columns and members are let through.
        wake: Ends a read of stdin.
        output: What predictions are written in; from CSV to CSV cells stay the text that they are.
        chunk_rows: How many rows are read together.
    """
    match file_format:
        case InputFormat.JSONL:
            return JsonLines(path, spec, extra=extra, wake=wake, chunk_rows=chunk_rows)
        case InputFormat.TFRECORD:
            return TFRecords(path, spec, extra=extra, wake=wake, chunk_rows=chunk_rows)
        case InputFormat.CSV:
            verbatim = output is OutputFormat.CSV
            return CsvRows(path, spec, extra=extra, wake=wake, verbatim=verbatim, chunk_rows=chunk_rows)
        case InputFormat.PARQUET:
            return ParquetRows(path, spec, extra=extra, chunk_rows=chunk_rows)
