"""Which trace a request belongs to, by its headers: W3C's `traceparent`, or Google's `X-Cloud-Trace-Context`.

Source: https://www.w3.org/TR/trace-context/#traceparent-header and https://cloud.google.com/trace/docs/trace-context

A header that is not as its document says counts as absent: a caller's mistake must cost neither an answer nor a trace.
Finding the header, asking whether it says sampled, and reading the ids are three steps, because Cloud Run sends one
with every request and most of them say no.
"""

import re
from dataclasses import dataclass
from typing import Final

from service.header_fields import Headers

_TRACEPARENT: Final = re.compile(
    rb"(?:00(?=.{53}\Z)|(?!00|ff)[0-9a-f]{2})"  # only a version to come may say more, after another dash
    rb"-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_CLOUD: Final = re.compile(rb"(?!0{32})([0-9a-fA-F]{32})(?:/([0-9]{1,20}))?(?:;o=([0-9]{1,3}))?")
_CLOUD_NAME: Final = b"x-cloud-trace-context"
_NAMES: Final = frozenset((b"traceparent", _CLOUD_NAME))
_LARGEST_SPAN_ID: Final = 2**64 - 1

TraceHeader = re.Match[bytes]
"""A header that says where a request belongs: trace, span and flags."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A request's place in a trace.

    Attributes:
        trace_id: The trace; 128 bits, not zero.
        span_id: The span; 64 bits, 0 if there is none.
        sampled: Whether the trace is recorded; None if nobody has decided yet.
    """

    trace_id: int
    span_id: int
    sampled: bool | None


def trace_header(headers: Headers) -> TraceHeader | None:
    """The header by which the caller says where the request belongs; None if none does so properly."""
    cloud = None
    for name, value in headers:
        if name in _NAMES:  # one look-up per header: this runs for every request
            if name == _CLOUD_NAME:
                cloud = value
            elif (found := _TRACEPARENT.fullmatch(value)) is not None:
                return found
    return None if cloud is None else _of_cloud(cloud)


def _of_cloud(value: bytes) -> TraceHeader | None:
    found = _CLOUD.fullmatch(value)
    return None if found is None or int(found[2] or b"0") > _LARGEST_SPAN_ID else found


def is_sampled(header: TraceHeader) -> bool | None:
    """Whether the caller wants the trace recorded; None if it leaves that to us."""
    flags = header[3]
    # In both notations the last digit alone decides, whatever its base.
    return None if flags is None else flags[-1] in b"13579bdf"


def context_of(header: TraceHeader) -> TraceContext:
    """What the header says."""
    span_id = int(header[2] or b"0", 10 if header.re is _CLOUD else 16)
    return TraceContext(int(header[1], 16), span_id, is_sampled(header))


def trace_context(headers: Headers) -> TraceContext | None:
    """Where the caller says that the request belongs; None if it does not say so properly."""
    header = trace_header(headers)
    return None if header is None else context_of(header)
