"""What a file's name tells of its format: one answer for what is loaded, scored in batches and read on Beam. Pure."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

_FORMATS: Final[Mapping[str, str]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord",
    ".tfrec": "tfrecord",
}


def format_named(name: str) -> str | None:
    """`csv`, `jsonl`, `parquet` or `tfrecord`, as the end of a name tells; None if it tells none.

    Args:
        name: A path, an address, or a pattern of either; upper case is as good as lower, and `.gz` does not count.
    """
    suffixes = [one.lower() for one in PurePosixPath(name).suffixes if one.lower() != ".gz"]
    return _FORMATS.get(suffixes[-1]) if suffixes else None
