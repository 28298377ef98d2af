"""The way down: say it first, finish what was begun, wait for nobody else."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

GET = b"GET /get HTTP/1.1\r\nHost: x\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n\r\n"
AGES_S = 1000.0


@pytest.fixture
async def running(build: Callable[..., Awaitable[Any]]) -> AsyncIterator[Any]:
    """A site whose server runs as in production; `site.run` is done when it has stopped."""
    site = await build()
    listening = socket.create_server(("127.0.0.1", 0))
    site.port = listening.getsockname()[1]
    site.run = asyncio.create_task(site.server.serve([listening]))
    yield site
    await site.callers.aclose()
    site.server.should_exit = True
    await site.run


async def test_while_draining_new_and_old_connections_are_served_once_more(running: Any) -> None:
    old, busy, idle = await running.caller(GET), await running.caller(WAIT), await running.caller(GET)
    assert not (await old.answer()).closes
    assert not (await idle.answer()).closes
    await running.until(lambda: any(scope["path"] == "/wait" for scope in running.seen))
    running.server.drain(AGES_S)
    new = await running.caller(GET)
    await old.send(GET)
    for caller in (old, new):
        assert (await caller.answer()).closes
        assert await caller.rest() == b""
    assert not idle._over
    assert not running.server.should_exit

    running.server.drain(AGES_S)  # a second order
    assert await idle.rest() == b""
    assert not running.run.done()
    running.gate.set()
    answer = await busy.answer()
    assert (answer.status, answer.closes) == (200, True)
    assert await busy.rest() == b""
    await running.run
    with pytest.raises(ConnectionRefusedError):
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", running.port)


async def test_without_time_to_drain_it_stops_at_once(running: Any) -> None:
    idle = await running.caller(GET)
    await idle.answer()
    running.server.drain(0.0)
    await running.run
    assert await idle.rest() == b""


async def test_requests_in_line_are_answered_before_it_stops(running: Any) -> None:
    caller = await running.caller(WAIT + GET + GET)
    await running.until(lambda: len(running.seen) == 1)
    running.server.drain(0.0)
    running.gate.set()
    assert [(await caller.answer()).closes for _ in range(3)] == [False, False, True]
    assert await caller.rest() == b""
    await running.run


@pytest.mark.parametrize(
    "asked",
    [
        b"GET /wait HTTP/1.1\r\nX-Wait: 1\r\n",
        b"POST /predict HTTP/1.1\r\nX-Wait: 1\r\nContent-Length: 2\r\n",
        b"POST /predict HTTP/1.1\r\nContent-Length: 100000\r\n",
    ],
    ids=["waits", "predicts", "body has not come"],
)
async def test_a_request_for_which_there_is_no_more_time_is_told_so(running: Any, asked: bytes) -> None:
    caller = await running.caller(asked + b"Host: x\r\nX-Request-Id: mine\r\n\r\n" + b"{}" * (b"Length: 2" in asked))
    await running.until(lambda: len(running.seen) == 1)
    running.server.config.timeout_graceful_shutdown = 0.0
    running.server.drain(0.0)
    answer = await caller.answer()
    assert (answer.status, answer.problem, answer.closes) == (503, "not-ready", True)
    assert (answer.headers["retry-after"], answer.headers["x-request-id"]) == ("1", "mine")
    assert await caller.rest() == b""
    await running.run
    assert running.admission.in_flight == 0


async def test_an_answer_that_had_begun_when_time_ran_out_is_cut_off(running: Any) -> None:
    caller = await running.caller(b"GET /begun HTTP/1.1\r\nHost: x\r\n\r\n")
    await running.until(lambda: len(running.seen) == 1)
    running.server.config.timeout_graceful_shutdown = 0.0
    running.server.drain(0.0)
    assert (await caller.rest()).startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(caller._got.partition(b"\r\n\r\n")[2]) == 1
    await running.run


async def test_an_answer_of_which_nothing_was_written_when_time_ran_out_is_another_one(running: Any) -> None:
    caller = await running.caller(b"GET /promised HTTP/1.1\r\nHost: x\r\n\r\n")
    await running.until(lambda: len(running.seen) == 1)
    running.server.config.timeout_graceful_shutdown = 0.0
    running.server.drain(0.0)
    assert (await caller.answer()).problem == "not-ready"
    await running.run


async def test_it_waits_for_nobody_to_whom_nothing_is_owed(running: Any) -> None:
    begun = [
        b"",
        b"GET /ge",
        b"GARBAGE\r\n\r\n",
        b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz",
        GET + b"GET /ge",
    ]
    callers = [await running.caller(*([piece] if piece else [])) for piece in begun]
    await callers[2].answer()
    await callers[3].answer()
    await callers[4].answer()
    await callers[5].answer()
    running.server.drain(0.0)
    await running.run
    for caller in callers:
        assert await caller.rest() == b""


async def test_looking_at_the_connections_is_a_part_of_every_second(running: Any) -> None:
    caller = await running.caller(b"GET /ge")
    running.clock.advance(5.1)
    assert (await caller.answer()).problem == "receipt-timeout"
