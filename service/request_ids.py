"""A name for every request, for its answer, its log lines and whoever asks about it."""

import random
import re
from collections.abc import Iterable
from typing import Final

HEADER: Final = b"x-request-id"
_ACCEPTABLE: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's own, if it is harmless, or a new one; header names are in lower case."""
    for name, value in headers:
        if name == HEADER and _ACCEPTABLE.fullmatch(value):
            return str(value, "ascii")
    return f"{random.getrandbits(64):016x}"  # a name, no secret; four times as fast as one
