"""A request belongs where its headers say, if they say it as their documents demand."""

import pytest

from service.trace_context import TraceContext, trace_context

_TRACE = 0x0AF7651916CD43DD8448EB211C80319C
_SPAN = 0xB7AD6B7169203331
_T = b"0af7651916cd43dd8448eb211c80319c"
_S = b"b7ad6b7169203331"


@pytest.mark.parametrize(
    ("flags", "sampled"), [(b"00", False), (b"01", True), (b"02", False), (b"03", True), (b"fe", False), (b"ff", True)]
)
def test_the_last_bit_of_the_flags_says_sampled(flags: bytes, *, sampled: bool) -> None:
    value = b"00-" + _T + b"-" + _S + b"-" + flags
    assert trace_context([(b"traceparent", value)]) == TraceContext(_TRACE, _SPAN, sampled)


@pytest.mark.parametrize("more", [b"", b"-", b"-more-00"])
def test_a_version_to_come_may_say_more(more: bytes) -> None:
    value = b"cc-" + _T + b"-" + _S + b"-01" + more
    assert trace_context([(b"traceparent", value)]) == TraceContext(_TRACE, _SPAN, sampled=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (_T + b"/1;o=1", TraceContext(_TRACE, 1, sampled=True)),
        (_T + b"/1;o=0", TraceContext(_TRACE, 1, sampled=False)),
        (_T + b"/10;o=3", TraceContext(_TRACE, 10, sampled=True)),
        (_T + b"/10", TraceContext(_TRACE, 10, sampled=None)),
        (_T + b";o=1", TraceContext(_TRACE, 0, sampled=True)),
        (_T.upper() + b"/18446744073709551615;o=1", TraceContext(_TRACE, 2**64 - 1, sampled=True)),
    ],
)
def test_googles_span_id_is_decimal_and_its_decision_optional(value: bytes, expected: TraceContext) -> None:
    assert trace_context([(b"x-cloud-trace-context", value)]) == expected


def test_traceparent_goes_before_googles_header() -> None:
    headers = [
        (b"x-cloud-trace-context", b"1" * 32 + b"/1;o=0"),
        (b"traceparent", b"00-" + _T + b"-" + _S + b"-01"),
    ]
    assert trace_context(headers) == trace_context(headers[::-1]) == TraceContext(_TRACE, _SPAN, sampled=True)


def test_a_malformed_traceparent_leaves_the_word_to_googles_header() -> None:
    headers = [(b"traceparent", b"nonsense"), (b"x-cloud-trace-context", _T + b"/1;o=1")]
    assert trace_context(headers) == TraceContext(_TRACE, 1, sampled=True)


_MALFORMED_PARENTS = [
    b"",
    b"00",
    b"00-" + _T + b"-" + _S,
    b"00-" + _T + b"-" + _S + b"-",
    b"00-" + _T + b"-" + _S + b"-1",
    b"00-" + _T + b"-" + _S + b"-001",
    b"00-" + _T + b"-" + _S + b"-01-",
    b"00-" + _T + b"-" + _S + b"-01-more",
    b"00-" + _T + b"-" + _S + b"-0g",
    b"00-" + _T + b"-" + _S + b"-01\n",
    b" 00-" + _T + b"-" + _S + b"-01",
    b"00-" + _T.upper() + b"-" + _S + b"-01",
    b"00-" + _T + b"-" + _S.upper() + b"-01",
    b"00-" + b"0" * 32 + b"-" + _S + b"-01",
    b"00-" + _T + b"-" + b"0" * 16 + b"-01",
    b"00-" + _T[:-1] + b"-" + _S + b"-01",
    b"00-" + _T + b"0-" + _S + b"-01",
    b"00_" + _T + b"_" + _S + b"_01",
    b"ff-" + _T + b"-" + _S + b"-01",
    b"0-" + _T + b"-" + _S + b"-01",
    b"cc-" + _T + b"-" + _S + b"-01more",
    b"\xff" * 55,
    b"0" * 100_000,
]
_MALFORMED_CLOUD = [
    b"",
    _T[:-1] + b"/1;o=1",
    _T + b"0/1;o=1",
    b"0" * 32 + b"/1;o=1",
    b"g" * 32 + b"/1;o=1",
    _T + b"/;o=1",
    _T + b"/a;o=1",
    _T + b"/-1;o=1",
    _T + b"/18446744073709551616;o=1",
    _T + b"/1;o=",
    _T + b"/1;o=x",
    _T + b"/1;o=1;o=1",
    _T + b"/1 ;o=1",
    _T + b"/1;o=1\n",
    _T + b"/" + b"9" * 100_000,
]


@pytest.mark.parametrize("index", range(len(_MALFORMED_PARENTS)))
def test_a_malformed_traceparent_counts_as_absent(index: int) -> None:
    assert trace_context([(b"traceparent", _MALFORMED_PARENTS[index])]) is None


@pytest.mark.parametrize("index", range(len(_MALFORMED_CLOUD)))
def test_a_malformed_cloud_header_counts_as_absent(index: int) -> None:
    assert trace_context([(b"x-cloud-trace-context", _MALFORMED_CLOUD[index])]) is None


def test_without_headers_it_belongs_nowhere() -> None:
    assert trace_context([(b"host", b"a"), (b"accept", b"*/*")]) is None
