"""The routing header: which view a call is for, said once more outside of the message.

Google's front ends route by it and refuse a call without it or with another resource in it. Google's own client sends
it empty on the streaming methods.

Source: AIP-4222, https://google.aip.dev/client-libraries/4222
"""

from enum import Enum, auto
from typing import Final
from urllib.parse import parse_qsl

HEADER: Final = "x-goog-request-params"


class Routing(Enum):
    """What a routing header says."""

    RIGHT = auto()
    EMPTY = auto()
    WRONG = auto()


def read_routing(header: str | None, feature_view: str) -> Routing:
    """Whether `header` routes to `feature_view`; its slashes may be escaped or not."""
    if not header:
        return Routing.EMPTY
    if header == f"feature_view={feature_view}":
        return Routing.RIGHT
    named = dict(parse_qsl(header, keep_blank_values=True)).get("feature_view")
    return Routing.RIGHT if named == feature_view else Routing.WRONG
