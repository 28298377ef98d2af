"""Requests that do not wait for the answer before: answered one by one, in order, or not at all."""

from collections.abc import Callable
from typing import Any

import pytest

from service.receiving import WHOLE_BODY

pytestmark = pytest.mark.anyio

HOST = b"Host: x\r\n"


def get(path: str, *fields: bytes) -> bytes:
    return b"GET %s HTTP/1.1\r\n%s%s\r\n" % (path.encode(), HOST, b"".join(fields))


def predict(body: bytes = b"{}", *fields: bytes) -> bytes:
    return b"POST /predict HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s" % (HOST, b"".join(fields), len(body), body)


WAIT = get("/wait", b"X-Wait: 1\r\n")


@pytest.mark.parametrize("count", [2, 20, 100])
async def test_requests_in_one_segment_are_answered_in_order(site: Any, count: int) -> None:
    caller = await site.caller(b"".join(get(f"/{number}") for number in range(count)))
    assert [(await caller.answer()).body for _ in range(count)] == [b"GET /%d" % number for number in range(count)]
    await caller.send(get("/after"))
    assert (await caller.answer()).body == b"GET /after"


async def test_admitted_requests_in_one_segment_are_answered_and_give_their_permits_back(site: Any) -> None:
    caller = await site.caller(b"".join(predict(b"%d" % number) for number in range(20)))
    for _ in range(20):
        assert (await caller.answer()).status == 200
    assert site.bodies == [b"%d" % number for number in range(20)]
    assert site.admission.in_flight == 0


async def test_a_request_behind_another_is_admitted_when_its_turn_comes(start: Callable[..., Any]) -> None:
    site = await start(max_in_flight=1)
    caller = await site.caller(predict(b"1", b"X-Wait: 1\r\n") + predict(b"2") + predict(b"3"))
    await site.until(lambda: site.bodies == [b"1"])
    assert site.admission.in_flight == 1
    other = await site.caller(predict(b"4"))
    assert (await other.answer()).problem == "overloaded"
    site.gate.set()
    assert [(await caller.answer()).status for _ in range(3)] == [200, 200, 200]
    assert site.admission.in_flight == 0


async def test_refusals_keep_their_place(start: Callable[..., Any]) -> None:
    site = await start(max_in_flight=1)
    await site.caller(predict(b"1", b"X-Wait: 1\r\n"))
    await site.until(lambda: site.admission.in_flight == 1)
    caller = await site.caller(predict() + get("/a") + predict() + predict() + get("/b") + predict())
    seen = [(await caller.answer()).status for _ in range(6)]
    assert seen == [503, 200, 503, 503, 200, 503]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (b"GARBAGE\r\n\r\n", "malformed-http"),
        (b"\x00", "malformed-http"),
        (b"GET /bad HTTP/1.1\r\n\r\n", "malformed-http"),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "malformed-http"),
        (b"POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", "malformed-http"),
        (b"POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzzz\r\n", "malformed-http"),
        (get("/bad", b"X-Large: " + b"x" * 40_000 + b"\r\n"), "headers-too-large"),
        (get("/" + "x" * 10_000), "url-too-long"),
    ],
    ids=["garbage", "nul", "no host", "connect", "chunk", "second chunk", "headers", "url"],
)
@pytest.mark.parametrize("before", [[WAIT], [WAIT, get("/a")], [get("/a"), WAIT, get("/b"), predict()]], ids=len)
async def test_a_bad_request_is_refused_after_the_answers_to_those_before_it(
    site: Any, before: list[bytes], bad: bytes, problem: str
) -> None:
    caller = await site.caller(b"".join(before) + bad + get("/never"))
    await site.until(lambda: site.seen and site.seen[-1]["path"] == "/wait")
    site.gate.set()
    for one in before:
        answer = await caller.answer()
        assert (answer.status, answer.body) == (200, b" ".join(one.split(b" ")[:2]))
    answer = await caller.answer()
    assert (answer.problem, answer.closes) == (problem, True)
    assert await caller.rest() == b""
    await site.until(lambda: not site.server.server_state.tasks)
    assert {"/bad", "/never"}.isdisjoint(scope["path"] for scope in site.seen)
    assert site.admission.in_flight == 0


async def test_an_announced_close_in_the_middle_is_the_end(site: Any) -> None:
    caller = await site.caller(get("/a") + get("/b", b"Connection: close\r\n") + get("/c") + b"GARBAGE\r\n\r\n")
    assert not (await caller.answer()).closes
    assert (await caller.answer()).closes
    assert await caller.rest() == b""
    assert [scope["path"] for scope in site.seen] == ["/a", "/b"]


async def test_an_answer_that_closes_in_the_middle_is_the_end(site: Any) -> None:
    large = b"POST /limited HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    caller = await site.caller(get("/a") + large + get("/c"))
    assert (await caller.answer()).status == 200
    assert (await caller.answer()).problem == "body-too-large"
    assert await caller.rest() == b""
    assert [scope["path"] for scope in site.seen] == ["/a", "/limited"]


async def test_a_queue_has_an_end(site: Any) -> None:
    caller = await site.caller(WAIT + get("/a") * 3000)
    await site.until(lambda: len(site.seen) == 1)
    (connection,) = site.door.connections
    assert len(connection.pipeline) == 100
    site.gate.set()
    answers = [await caller.answer() for _ in range(101)]
    assert [answer.closes for answer in answers] == [False] * 100 + [True]
    assert await caller.rest() == b""
    assert len(site.seen) == 101


async def test_nothing_is_read_while_requests_wait_for_others(site: Any) -> None:
    caller = await site.caller(predict(b"1", b"X-Wait: 1\r\n") + get("/a"))
    await site.until(lambda: len(site.seen) == 1)
    (connection,) = site.door.connections
    for _ in range(5):
        await caller.send(get("/b"))
    assert connection.flow.read_paused
    assert len(connection.pipeline) == 1
    site.gate.set()
    assert [(await caller.answer()).status for _ in range(7)] == [200] * 7


@pytest.mark.parametrize("cut", ["hang up", "reset"])
async def test_who_leaves_in_the_middle_takes_nothing_with_him(site: Any, cut: str) -> None:
    caller = await site.caller(predict(b"1", b"X-Wait: 1\r\n") + predict(b"2") + get("/a") + predict(b"3")[:-1])
    await site.until(lambda: site.admission.in_flight == 1)
    if cut == "reset":
        caller.reset()
    else:
        caller.transport.close()
    site.gate.set()
    await site.until(lambda: not site.door.connections and not site.server.server_state.tasks)
    assert site.admission.in_flight == 0


async def test_predictions_that_follow_others_begin_in_turn_too(site: Any) -> None:
    caller = await site.caller(predict(b"1", b"X-Wait: 1\r\n") + predict(b"2"))
    await site.until(lambda: len(site.seen) == 1)
    for _ in range(5_000):
        site.door.turnstile.enter(lambda: None)
    site.gate.set()
    assert (await caller.answer()).status == 200
    assert len(site.seen) == 1
    assert (await caller.answer()).status == 200


async def test_who_hung_up_while_his_request_waited_for_its_turn_is_not_worked_for(site: Any) -> None:
    for _ in range(20_000):
        site.door.turnstile.enter(lambda: None)
    caller = await site.caller(predict(b"1"))
    await site.until(lambda: site.admission.in_flight == 1)
    assert site.seen == []
    caller.reset()
    await site.until(lambda: site.seen != [])
    assert WHOLE_BODY not in site.seen[0]["state"]
    await site.until(lambda: site.admission.in_flight == 0)
    assert site.bodies == []
