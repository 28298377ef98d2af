"""A prediction that is refused before its body is read: a cheap answer, and a connection in a known state."""

import logging
from collections.abc import Callable
from typing import Any, Literal

import pytest

from service.access import AccessLog
from service.events import RequestRefused, RequestShed

pytestmark = pytest.mark.anyio

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
SMALL = HEAD + b"Content-Length: 5\r\n\r\n"
LARGE = HEAD + b"Content-Length: 100000\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /get HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def full(start: Callable[..., Any]) -> Any:
    """A site whose places are all taken, until its gate opens."""
    site = await start(max_in_flight=1)
    body = b"0" * 20_000
    for size in (1, 20_000):  # one small and one large request
        await site.caller(HEAD + b"X-Wait: 1\r\nContent-Length: %d\r\n\r\n%s" % (size, body[:size]))
    await site.until(lambda: site.admission.in_flight == 2 and len(site.bodies) == 2)
    return site


@pytest.mark.parametrize("pieces", [[SMALL + b"abcde"], [SMALL, b"abcde"], [SMALL, b"a", b"bc", b"de"]], ids=len)
async def test_a_small_request_may_be_followed_by_others(full: Any, pieces: list[bytes]) -> None:
    caller = await full.caller(*pieces, *pieces)
    for _ in range(2):
        answer = await caller.answer()
        assert (answer.status, answer.problem, answer.closes) == (503, "overloaded", False)
        assert answer.headers["retry-after"] == "1"
        assert "date" in answer.headers
    await caller.send(GET)
    assert (await caller.answer()).body == b"GET /get"
    full.gate.set()
    await full.until(lambda: full.admission.in_flight == 0)
    await caller.send(*pieces)
    assert (await caller.answer()).status == 200


async def test_it_is_told_to_the_observers_as_what_has_no_duration(full: Any) -> None:
    caller = await full.caller(SMALL)
    await caller.answer()
    assert full.events == [RequestShed("interactive", "limit"), RequestRefused("/predict", 503)]


async def test_what_is_no_request_at_all_is_told_to_them_too(site: Any) -> None:
    caller = await site.caller(b"GARBAGE\r\n\r\n")
    await caller.rest()
    assert site.events == [RequestRefused("other", 400)]


async def test_a_request_that_has_had_its_answer_is_not_told_again_when_its_body_breaks(full: Any) -> None:
    caller = await full.caller(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"zzz")
    await caller.rest()
    assert full.events == [RequestShed("large", "limit"), RequestRefused("/predict", 503)]


@pytest.mark.parametrize(("wanted", "lines"), [("off", 0), ("errors", 0), ("all", 1)])
async def test_it_has_a_line_only_where_all_requests_have_one(
    start: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    wanted: Literal["off", "errors", "all"],
    lines: int,
) -> None:
    site = await start(max_in_flight=0, access_log=AccessLog(wanted))
    with caplog.at_level(logging.INFO, "keyscore"):
        caller = await site.caller(SMALL + b"abcde")
        assert (await caller.answer()).problem == "overloaded"
    assert len(caplog.records) == lines


async def test_its_line_can_be_found_by_the_id_in_its_answer_and_says_how_long_it_took(
    start: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    site = await start(max_in_flight=0, access_log=AccessLog("all"))
    with caplog.at_level(logging.INFO, "keyscore"):
        caller = await site.caller(HEAD)
        site.clock.advance(1.5)
        await caller.send(b"Content-Length: 5\r\n\r\n")
        answer = await caller.answer()
    [record] = caplog.records
    assert record.getMessage() == "POST /predict 503 in 1500.0 ms"
    assert vars(record)["request_id"] == answer.headers["x-request-id"]
    assert vars(record)["fields"] == {"problem": "overloaded"}
    assert vars(record)["every"]


@pytest.mark.parametrize(
    ("sent", "seconds", "line"),
    [
        (b"C00017 /C00017 HTTP/1.1\r\n\r\n", 0.0, "other other 400 in 0.0 ms"),
        (b"GET /C00017 HTTP/1.1\r\nC00017: C00017\r\n\r\n", 0.0, "GET other 400 in 0.0 ms"),
        (b"POST /C00017 HTTP/1.1\r\nHo", 5.1, "other other 408 in 5100.0 ms"),
        (SMALL + b"abc", 5.1, "POST other 408 in 5100.0 ms"),
    ],
    ids=["no HTTP", "bad head", "slow head", "slow body"],
)
async def test_the_line_of_what_is_not_whole_tells_of_it_in_closed_words_only(
    start: Callable[..., Any], caplog: pytest.LogCaptureFixture, sent: bytes, seconds: float, line: str
) -> None:
    site = await start(access_log=AccessLog("all"))
    with caplog.at_level(logging.INFO, "keyscore"):
        caller = await site.caller(sent)
        site.pass_time(seconds)
        await caller.answer()
    [record] = caplog.records
    assert record.getMessage() == line
    assert "C00017" not in str(vars(record))


@pytest.mark.parametrize(
    ("head", "body"),
    [(LARGE, b"x" * 100_000), (CHUNKED, b"5\r\nabcde\r\n" * 10_000), (CHUNKED, b"zzz"), (LARGE, b"")],
    ids=["length", "chunks", "garbage", "nothing"],
)
async def test_a_large_or_unmeasured_body_is_not_worth_reading(full: Any, head: bytes, body: bytes) -> None:
    caller = await full.caller(head)
    answer = await caller.answer()
    assert (answer.status, answer.problem, answer.closes) == (503, "overloaded", True)
    await caller.send(body, GET)
    assert await caller.rest() == b""
    assert len(full.seen) == 2


async def test_a_refused_body_that_never_comes_ends_the_connection(full: Any) -> None:
    caller = await full.caller(SMALL, b"ab")
    assert (await caller.answer()).status == 503
    full.pass_time(5.1)
    assert await caller.rest() == b""


async def test_a_budget_that_is_no_number_is_400_and_harmless(site: Any) -> None:
    caller = await site.caller(HEAD + b"X-Request-Timeout-Ms: soon\r\nContent-Length: 2\r\n\r\n{}")
    answer = await caller.answer()
    assert (answer.status, answer.problem, answer.closes) == (400, "invalid-timeout", False)
    await caller.send(GET)
    assert (await caller.answer()).status == 200


async def test_who_asks_before_sending_a_body_is_refused_without_being_asked_for_it(full: Any) -> None:
    caller = await full.caller(HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    answer = await caller.answer()
    assert (answer.status, answer.closes) == (503, True)  # what comes next may be the body, or else a request
    await caller.send(GET)
    assert await caller.rest() == b""


async def test_who_asks_before_sending_a_body_is_asked_for_it_when_admitted(site: Any) -> None:
    caller = await site.caller(HEAD + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n")
    assert (await caller.answer()).status == 100
    await caller.send(b"abcde", GET)
    answer = await caller.answer()
    assert (answer.status, answer.closes) == (200, False)
    assert (await caller.answer()).body == b"GET /get"
    assert site.bodies == [b"abcde", b""]


async def test_an_answer_that_does_not_ask_for_the_expected_body_closes(site: Any) -> None:
    caller = await site.caller(b"POST /early HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    answer = await caller.answer()
    assert (answer.status, answer.closes) == (404, True)
    await caller.send(GET)
    assert await caller.rest() == b""


async def test_http_1_0_knows_no_expectation(site: Any) -> None:
    caller = await site.caller(b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde")
    assert (await caller.answer()).status == 200


async def test_a_broken_body_while_a_request_waits_for_its_turn_ends_it(site: Any) -> None:
    caller = await site.caller(CHUNKED + b"5000\r\n" + b"x" * 0x5000 + b"\r\nzzz\r\n")
    assert (await caller.answer()).problem == "malformed-http"
    assert await caller.rest() == b""
    await site.until(lambda: site.admission.in_flight == 0)


@pytest.mark.parametrize("sent", [SMALL, LARGE, SMALL + b"abcde"])
async def test_while_draining_every_refusal_closes(full: Any, sent: bytes) -> None:
    caller = await full.caller(GET)
    assert not (await caller.answer()).closes
    full.door.drain()
    await caller.send(sent)
    answer = await caller.answer()
    assert (answer.status, answer.closes) == (503, True)
    assert await caller.rest() == b""


@pytest.mark.parametrize("path", ["/get", "/predict", "/early", "/raise"])
async def test_while_draining_every_answer_closes(site: Any, path: str) -> None:
    site.door.drain()
    caller = await site.caller(GET.replace(b"/get", path.encode()) + GET)
    assert (await caller.answer()).closes
    assert await caller.rest() == b""
    assert len(site.seen) == 1


async def test_an_answer_that_is_worked_on_when_draining_begins_closes(site: Any) -> None:
    caller = await site.caller(GET.replace(b"/get", b"/wait").replace(b"\r\n\r\n", b"\r\nX-Wait: 1\r\n\r\n"))
    await site.until(lambda: len(site.seen) == 1)
    site.door.drain()
    site.gate.set()
    assert (await caller.answer()).closes
    assert await caller.rest() == b""


@pytest.mark.parametrize("path", ["/early", "/raise"])
@pytest.mark.parametrize("body", [[b"abcde"], [b"", b"abcde"], [b"", b"ab", b"cde"]], ids=len)
async def test_an_error_leaves_the_connection_usable(site: Any, path: str, body: list[bytes]) -> None:
    first, *later = body
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n" % path.encode()
    caller = await site.caller(head + first, *later)
    answer = await caller.answer()
    assert (answer.status, answer.closes) == ({"/early": 404, "/raise": 500}[path], False)
    await caller.send(GET)
    assert (await caller.answer()).body == b"GET /get"


async def test_a_bad_request_behind_a_refused_one_is_answered_too(full: Any) -> None:
    for bad in (b"\x00", b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        caller = await full.caller(SMALL + b"abcde" + bad)
        assert (await caller.answer()).problem == "overloaded"
        assert (await caller.answer()).problem == "malformed-http"
        assert await caller.rest() == b""
