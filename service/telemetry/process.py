"""What the process itself uses; from /proc, and nothing where there is none (a laptop that is no Linux)."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_DESCRIPTORS: Final = Path("/proc/self/fd")

Use = Mapping[tuple[()], float]
"""One number without labels, or none at all."""


def memory_bytes(statm: Path = _STATM) -> Use:
    """Resident memory. Source: proc(5), second field of statm, in pages."""
    try:
        pages = int(statm.read_text(encoding="ascii").split()[1])
    except OSError:
        return {}
    return {(): pages * os.sysconf("SC_PAGE_SIZE")}


def cpu_s() -> Use:
    """Seconds of user and system time since the start, of all threads."""
    return {(): time.process_time()}


def open_descriptors(folder: Path = _DESCRIPTORS) -> Use:
    """Open files and sockets."""
    try:
        return {(): len(os.listdir(folder)) - 1}  # less the one that lists them  # noqa: PTH208  # half the time
    except OSError:
        return {}
