"""What a job can be asked for: formats, which a file's name may tell, and what to do about failed rows. Pure."""

from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from features.file_names import format_named
from service.errors import JobRefused

STREAM: Final = Path("-")
"""Stands for stdin or stdout."""


class InputFormat(StrEnum):
    """What instances are written in."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    TFRECORD = "tfrecord"


class OutputFormat(StrEnum):
    """What predictions are written in."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class OnError(StrEnum):
    """What to do about a row that has no score."""

    FAIL = "fail"
    NULL = "null"
    SKIP = "skip"


_Format = TypeVar("_Format", InputFormat, OutputFormat)


def input_format(path: Path) -> InputFormat:
    """The format that a file's name tells; `.gz` behind it does not count.

    Raises:
        JobRefused: It tells none.
    """
    return _by_name(path, InputFormat, "--format")


def output_format(path: Path) -> OutputFormat:
    """The format that a file's name tells.

    Raises:
        JobRefused: It tells none.
    """
    if path.suffix.lower() == ".gz":
        raise JobRefused(f"{path} is written as it is, not compressed: leave .gz out, or write to - and pipe it")
    return _by_name(path, OutputFormat, "--output-format")


def _by_name(path: Path, formats: type[_Format], option: str) -> _Format:
    told, names = format_named(path.name), [one.value for one in formats]
    if told not in names:
        where = "a stream has no name to tell its format" if path == STREAM else f"the name {path} tells no format"
        raise JobRefused(f"{where}; say {option} ({', '.join(names)})")
    return formats(told)
