"""Requests must arrive in time, answers must be read in time, and who waits for us is never hung up on."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /get HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_a_connection_that_never_says_anything_is_closed_without_a_word(site: Any) -> None:
    caller = await site.caller()
    site.pass_time(5.0)
    assert len(site.door.connections) == 1
    site.pass_time(0.1)
    assert await caller.rest() == b""


@pytest.mark.parametrize(
    ("pieces", "part"),
    [
        ([b"P"], "head"),
        ([b"POST /pred"], "head"),
        ([b"POST /predict HTTP/1.1\r\nHo"], "head"),
        ([b"POST /predict HTTP/1.1\r\n", b"Host: x\r\n"], "head"),
        ([HEAD + b"Content-Length: 5\r\n\r\n"], "body"),
        ([HEAD + b"Content-Length: 5\r\n\r\n", b"ab"], "body"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n"], "body"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nab"], "body"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"], "body"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\nX-Trailer: "], "body"),
    ],
    ids=str,
)
async def test_who_stops_in_the_middle_of_a_request_gets_408_and_is_hung_up_on(
    site: Any, pieces: list[bytes], part: str
) -> None:
    caller = await site.caller(*pieces)
    await site.until(lambda: [one.awaits for one in site.door.connections] == [part])
    site.pass_time(5.0)
    assert [one.awaits for one in site.door.connections] == [part]
    site.pass_time(0.1)
    answer = await caller.answer()
    assert (answer.status, answer.problem, answer.closes) == (408, "receipt-timeout", True)
    assert await caller.rest() == b""
    await site.until(lambda: not site.server.server_state.tasks)
    assert site.admission.in_flight == 0


async def test_bytes_that_trickle_in_do_not_buy_time(site: Any) -> None:
    caller = await site.caller(b"GET /")
    for _ in range(6):
        await caller.send(b"x")
        site.pass_time(1.0)
    assert (await caller.answer()).status == 408
    assert await caller.rest() == b""


async def test_empty_lines_are_no_request(site: Any) -> None:
    caller = await site.caller(b"\r\n" * 10)
    site.pass_time(5.1)
    assert await caller.rest() == b""


async def test_who_waits_for_our_answer_is_not_hung_up_on(site: Any) -> None:
    caller = await site.caller(b"GET /wait HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n\r\n")
    await site.until(lambda: len(site.seen) == 1)
    for _ in range(5):
        site.pass_time(1000.0)
    site.gate.set()
    assert (await caller.answer()).status == 200
    await caller.send(GET)
    assert (await caller.answer()).status == 200


async def test_half_a_request_behind_one_that_is_answered_is_ended_after_that_answer(site: Any) -> None:
    caller = await site.caller(b"GET /wait HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n\r\nGET /ge")
    await site.until(lambda: len(site.seen) == 1)
    site.pass_time(5.1)
    site.pass_time(5.1)
    site.gate.set()
    assert (await caller.answer()).body == b"GET /wait"
    assert (await caller.answer()).problem == "receipt-timeout"
    assert await caller.rest() == b""


async def test_half_a_request_behind_an_answered_one_is_not_taken_for_an_idle_connection(site: Any) -> None:
    caller = await site.caller(GET + b"GET /ge")
    assert (await caller.answer()).status == 200
    site.pass_time(5.1)
    assert (await caller.answer()).problem == "receipt-timeout"
    assert await caller.rest() == b""


async def test_time_in_which_we_did_not_read_is_not_held_against_the_caller(site: Any) -> None:
    first = b"GET /wait HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n\r\n"
    caller = await site.caller(first + b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
    await site.until(lambda: len(site.seen) == 1)
    await caller.send(b"cde")
    site.pass_time(5.1)
    site.gate.set()
    assert (await caller.answer()).body == b"GET /wait"
    assert (await caller.answer()).body == b"POST /echo"
    assert site.bodies == [b"", b"abcde"]


async def test_an_idle_connection_is_kept_for_as_long_as_balancers_keep_theirs(site: Any) -> None:
    caller = await site.caller(GET)
    assert (await caller.answer()).status == 200
    site.pass_time(600.0)
    await caller.send(GET)
    assert (await caller.answer()).status == 200
    site.pass_time(600.1)
    assert await caller.rest() == b""


async def test_an_early_answer_is_the_only_one_although_the_body_never_comes(site: Any) -> None:
    caller = await site.caller(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
    assert (await caller.answer()).status == 404
    site.pass_time(5.1)
    assert await caller.rest() == b""


@pytest.mark.parametrize("fields", [b"", b"Connection: close\r\n"])
async def test_a_caller_that_does_not_read_its_answer_is_dropped(site: Any, fields: bytes) -> None:
    caller = await site.caller()
    caller.transport.pause_reading()
    await caller.send(b"GET /big HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
    (connection,) = site.door.connections
    await site.until(lambda: connection.transport.get_write_buffer_size() > 1_000_000)
    site.pass_time(1.0)
    site.pass_time(5.0)
    assert site.door.connections
    site.pass_time(0.1)
    await site.until(lambda: not site.door.connections)
    assert not site.server.server_state.tasks


async def test_a_caller_that_reads_slowly_gets_its_whole_answer(site: Any) -> None:
    caller = await site.caller()
    caller.transport.pause_reading()
    await caller.send(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    (connection,) = site.door.connections
    size = connection.transport.get_write_buffer_size
    await site.until(lambda: size() > 1_000_000)
    for _ in range(3):
        site.pass_time(4.0)
        before = size()
        caller.transport.resume_reading()
        await site.until(lambda before=before: size() < before)
        caller.transport.pause_reading()
    caller.transport.resume_reading()
    assert len((await caller.answer()).body) == 20_000_000
    assert await caller.rest() == b""


async def test_many_pipelined_requests_whose_answers_nobody_reads_end(site: Any) -> None:
    caller = await site.caller()
    caller.transport.pause_reading()
    await caller.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    (connection,) = site.door.connections
    await site.until(lambda: connection.transport.get_write_buffer_size() > 1_000_000)
    site.pass_time(1.0)
    site.pass_time(5.1)
    await site.until(lambda: not site.door.connections and not site.server.server_state.tasks)
