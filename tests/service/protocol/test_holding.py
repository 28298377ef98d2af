"""A body is received before its request takes a place, however large it is and however slowly it comes."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
SIZE = 100_000
LARGE = HEAD + b"Content-Length: %d\r\n\r\n" % SIZE
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PIECE = b"y" * 1_000
GET = b"GET /get HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def narrow(start: Callable[..., Any]) -> Any:
    """A site with one place for small requests and one for large ones, which holds 300,000 bytes."""
    return await start(max_in_flight=1, whole_bytes=2 * SIZE, most_held_bytes=3 * SIZE)


@pytest.mark.parametrize(
    "begun",
    [LARGE, CHUNKED + b"fff\r\n", LARGE.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")],
    ids=["length", "chunks", "expects"],
)
async def test_slow_senders_of_large_bodies_keep_nobody_out(narrow: Any, begun: bytes) -> None:
    slow = [await narrow.caller(begun, PIECE) for _ in range(10)]
    await narrow.until(lambda: narrow.door.held_bytes == 10 * len(PIECE))
    assert narrow.admission.in_flight == 0
    quick = await narrow.caller(LARGE + b"x" * SIZE)
    assert (await quick.answer()).status == 200
    narrow.pass_time(5.1)
    for caller in slow:
        answer = await caller.answer()
        if answer.status == 100:
            answer = await caller.answer()
        assert answer.problem == "receipt-timeout"
    assert narrow.door.held_bytes == 0


@pytest.mark.parametrize("pieces", [1, 2, 100])
async def test_what_came_in_pieces_is_read_as_a_whole(narrow: Any, pieces: int) -> None:
    body = bytes(number % 256 for number in range(SIZE))
    size = SIZE // pieces
    caller = await narrow.caller(LARGE, *[body[at : at + size] for at in range(0, SIZE, size)])
    assert (await caller.answer()).status == 200
    assert narrow.bodies == [body]
    assert narrow.door.held_bytes == 0
    assert narrow.admission.in_flight == 0


async def test_without_a_place_a_large_request_is_refused_before_its_body_has_come(narrow: Any) -> None:
    await narrow.caller(LARGE.replace(b"\r\n\r\n", b"\r\nX-Wait: 1\r\n\r\n") + b"x" * SIZE)
    await narrow.until(lambda: narrow.admission.large.in_flight == 1 and len(narrow.bodies) == 1)
    for head in (LARGE, CHUNKED):
        caller = await narrow.caller(head)
        answer = await caller.answer()
        assert (answer.status, answer.problem, answer.closes) == (503, "overloaded", True)


async def refused_when_whole(narrow: Any, head: bytes, rest: bytes) -> Any:
    """A caller whose large request lost its place to another one while the body came; has sent all of it."""
    late = await narrow.caller(head, PIECE)
    await narrow.caller(LARGE.replace(b"\r\n\r\n", b"\r\nX-Wait: 1\r\n\r\n") + b"x" * SIZE)
    await narrow.until(lambda: narrow.admission.large.in_flight == 1)
    await late.send(rest)
    return late


REST = b"x" * (SIZE - len(PIECE))


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (LARGE, REST),
        (CHUNKED + b"%x\r\n" % SIZE, REST + b"\r\n0\r\n\r\n"),
        (LARGE.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"), REST),
    ],
    ids=["length", "chunks", "expects"],
)
async def test_places_that_are_taken_while_a_body_comes_are_missing_in_the_end_but_the_connection_stays(
    narrow: Any, head: bytes, rest: bytes
) -> None:
    late = await refused_when_whole(narrow, head, rest)
    if b"Expect" in head:
        assert (await late.answer()).status == 100
    answer = await late.answer()
    assert (answer.status, answer.problem, answer.closes) == (503, "overloaded", False)
    assert narrow.door.held_bytes == 0
    await late.send(GET)
    assert (await late.answer()).body == b"GET /get"
    narrow.gate.set()
    await narrow.until(lambda: narrow.admission.in_flight == 0)
    await late.send(LARGE + b"x" * SIZE)
    assert (await late.answer()).status == 200


async def test_a_large_request_that_is_refused_when_it_is_whole_closes_where_its_sender_or_the_end_says_so(
    narrow: Any,
) -> None:
    asked = LARGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    late = await refused_when_whole(narrow, asked, REST)
    assert (await late.answer()).closes
    assert await late.rest() == b""
    other = await narrow.caller()
    narrow.door.drain()
    await other.send(LARGE + b"x" * SIZE)
    assert (await other.answer()).closes
    assert await other.rest() == b""


async def test_what_is_more_than_the_app_reads_is_for_the_app_to_refuse(narrow: Any) -> None:
    declared = await narrow.caller(HEAD + b"Content-Length: %d\r\n\r\n" % (3 * SIZE))
    await narrow.until(lambda: len(narrow.seen) == 1)
    assert narrow.door.held_bytes == 0
    await declared.send(b"x" * 3 * SIZE)
    assert (await declared.answer()).status == 200
    endless = await narrow.caller(CHUNKED + b"%x\r\n" % (3 * SIZE), b"z" * 2 * SIZE)
    assert len(narrow.seen) == 1
    await endless.send(b"z")
    await narrow.until(lambda: len(narrow.seen) == 2)
    assert narrow.door.held_bytes == 0
    await endless.send(b"z" * (SIZE - 1) + b"\r\n0\r\n\r\n")
    assert (await endless.answer()).status == 200
    assert narrow.bodies == [b"x" * 3 * SIZE, b"z" * 3 * SIZE]


async def test_bodies_that_are_held_have_a_bound_in_all_and_who_exceeds_it_takes_a_place_early(narrow: Any) -> None:
    first, second, third = [await narrow.caller(CHUNKED + b"%x\r\n" % SIZE, b"x" * SIZE) for _ in range(3)]
    await narrow.until(lambda: narrow.door.held_bytes == 3 * SIZE)
    fourth = await narrow.caller(CHUNKED + b"5\r\nab")
    await narrow.until(lambda: narrow.admission.large.in_flight == 1)
    assert narrow.door.held_bytes == 3 * SIZE
    await fourth.send(b"cde\r\n0\r\n\r\n")
    assert (await fourth.answer()).status == 200
    assert narrow.bodies == [b"abcde"]
    for caller in (first, second, third):
        await caller.send(b"\r\n0\r\n\r\n")
        assert (await caller.answer()).status == 200
    assert narrow.door.held_bytes == 0


async def test_a_large_request_that_is_coming_when_the_service_stops_is_answered(narrow: Any) -> None:
    large, small = await narrow.caller(LARGE, PIECE), await narrow.caller(HEAD + b"Content-Length: 5\r\n\r\n", b"ab")
    for connection in list(narrow.server.server_state.connections):
        connection.shutdown()
    assert await small.rest() == b""
    await large.send(b"x" * (SIZE - len(PIECE)))
    answer = await large.answer()
    assert (answer.status, answer.closes) == (200, True)
