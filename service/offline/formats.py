"""What a job can be asked for: formats, which a file's name may tell, and what to do about failed rows. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

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


_INPUTS: Final = {
    ".jsonl": InputFormat.JSONL,
    ".ndjson": InputFormat.JSONL,
    ".csv": InputFormat.CSV,
    ".parquet": InputFormat.PARQUET,
    ".pq": InputFormat.PARQUET,
    ".tfrecord": InputFormat.TFRECORD,
    ".tfrecords": InputFormat.TFRECORD,
    ".tfrec": InputFormat.TFRECORD,
}
_OUTPUTS: Final = {suffix: OutputFormat(one) for suffix, one in _INPUTS.items() if one is not InputFormat.TFRECORD}
_T = TypeVar("_T")


def input_format(path: Path) -> InputFormat:
    """The format that a file's name tells; `.gz` behind it does not count.

    Raises:
        JobRefused: It tells none.
    """
    return _by_name(path, [one for one in path.suffixes if one.lower() != ".gz"], _INPUTS, "--format")


def output_format(path: Path) -> OutputFormat:
    """The format that a file's name tells.

    Raises:
        JobRefused: It tells none.
    """
    if path.suffix.lower() == ".gz":
        raise JobRefused(f"{path} is written as it is, not compressed: leave .gz out, or write to - and pipe it")
    return _by_name(path, path.suffixes, _OUTPUTS, "--output-format")


def _by_name(path: Path, suffixes: list[str], known: Mapping[str, _T], option: str) -> _T:
    found = known.get(suffixes[-1].lower()) if suffixes else None
    if found is None:
        names = ", ".join(dict.fromkeys(str(one) for one in known.values()))
        where = "a stream has no name to tell its format" if path == STREAM else f"the name {path} tells no format"
        raise JobRefused(f"{where}; say {option} ({names})")
    return found
