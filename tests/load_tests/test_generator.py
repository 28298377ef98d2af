import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from load_tests.generator import Address, Generator, Limits, run_load
from load_tests.stories import Span

pytestmark = pytest.mark.anyio

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n"

AT_ONCE = np.zeros(20)


class Server:
    """Counts connections and requests; a test says how each is answered."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.arrived = asyncio.Condition()
        self.answer: Callable[[int], Awaitable[bytes | None]] = self._at_once

    async def _at_once(self, _number: int) -> bytes | None:
        return ANSWER

    async def arrivals(self, count: int) -> None:
        """Returns when so many requests have come."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.requests) >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while request := await reader.readline():
                async with self.arrived:
                    number = len(self.requests)
                    self.requests.append(request)
                    self.arrived.notify_all()
                answer = await self.answer(number)
                if answer is None:
                    break
                writer.write(answer)
                if b"close" in answer:
                    break
        finally:
            writer.close()


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, Address]]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield server, listener.sockets[0].getsockname()[:2]
    finally:
        listener.close()


def line(number: int) -> bytes:
    return b"request %d\n" % number


async def test_every_arrival_is_sent_and_its_answer_recorded() -> None:
    async with serving() as (server, address):
        outcome = await run_load(address, line, rate=400, seconds=0.25, seed=1)
    assert outcome.counts() == {"200": outcome.offered}
    assert sorted(server.requests) == sorted(map(line, range(outcome.offered)))


async def test_arrivals_do_not_wait_for_answers() -> None:
    async with serving() as (server, address):

        async def when_all_are_here(_number: int) -> bytes:
            await server.arrivals(20)
            return ANSWER

        server.answer = when_all_are_here  # a client that waits for an answer before it sends waits for ever
        outcome = await run_load(address, line, times=AT_ONCE)
    assert outcome.counts() == {"200": 20}


async def test_latency_and_lag_count_from_when_a_request_was_due() -> None:
    times = np.array([0.0, 1.0, 2.0, 2.5])
    readings = iter([100.0])
    async with serving() as (_, address):
        # the clock stands at 100 when the run starts and at 110 ever after: the pump has slept through all arrivals
        generator = Generator(address, times, line, clock=lambda: next(readings, 110.0))
        await generator.run()
    assert list(generator.lag) == [10.0, 9.0, 8.0, 7.5]
    assert list(generator.latency) == [10.0, 9.0, 8.0, 7.5]


async def test_connections_are_used_again() -> None:
    async with serving() as (server, address):
        await run_load(address, line, times=np.arange(10) * 0.01)
    assert server.connections < 10


async def test_a_connection_that_the_server_closes_is_replaced() -> None:
    async with serving() as (server, address):

        async def last(_number: int) -> bytes:
            return CLOSING

        server.answer = last
        outcome = await run_load(address, line, times=np.arange(10) * 0.005)
    assert outcome.counts() == {"200": 10}
    assert server.connections == 10


async def test_what_exceeds_the_connections_is_not_sent_and_told() -> None:
    async with serving() as (server, address):

        async def when_all_are_here(_number: int) -> bytes:
            await server.arrivals(3)
            return ANSWER

        server.answer = when_all_are_here
        outcome = await run_load(address, line, times=AT_ONCE, limits=Limits(connections=3))
    assert outcome.counts() == {"not sent": 17, "200": 3}
    assert outcome.eased == "17 requests were not sent: every connection was busy"


async def test_a_request_without_an_answer_is_given_up() -> None:
    async with serving() as (server, address):

        async def never(_number: int) -> bytes:
            await asyncio.Event().wait()
            raise AssertionError

        server.answer = never
        outcome = await run_load(address, line, times=AT_ONCE, limits=Limits(patience_s=0.02))
    assert outcome.counts() == {"timeout": 20}
    assert np.isnan(outcome.latency).all()


async def test_a_reset_is_a_failure_of_its_request_alone() -> None:
    async with serving() as (server, address):

        async def all_but_one(number: int) -> bytes | None:
            return None if number == 4 else ANSWER

        server.answer = all_but_one
        outcome = await run_load(address, line, times=np.arange(10) * 0.005)
    assert outcome.counts() == {"reset": 1, "200": 9}
    assert outcome.failures == 1


async def test_a_port_that_nobody_listens_on_is_unreachable() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take the port meanwhile
        outcome = await run_load(bound.getsockname(), line, times=AT_ONCE)
    assert outcome.counts() == {"unreachable": 20}


async def test_refusals_are_no_answers_and_no_failures() -> None:
    async with serving() as (server, address):

        async def every_other(number: int) -> bytes:
            return REFUSAL if number % 2 else ANSWER

        server.answer = every_other
        outcome = await run_load(address, line, times=AT_ONCE)
    assert outcome.counts() == {"200": 10, "503": 10}
    assert (int(outcome.refused.sum()), outcome.failures, outcome.errors) == (10, 0, 10)


async def test_every_answer_is_checked_and_wrong_ones_are_no_goodput() -> None:
    seen = []

    def check(request: bytes, status: int, headers: dict[str, str], body: bytes, span: Span) -> str | None:
        seen.append((request, status, tuple(headers.items()), body))
        assert span.sent <= span.answered
        return "odd" if request in (line(3), line(5)) else None

    async with serving() as (_, address):
        outcome = await run_load(address, line, times=AT_ONCE, seconds=1.0, check=check)
    assert min(seen) == (line(0), 200, (("content-length", "2"),), b"ok")
    assert outcome.checked == 20
    assert sorted((one.index, one.reason) for one in outcome.wrong) == [(3, "odd"), (5, "odd")]
    assert outcome.goodput == 18


async def test_a_sample_of_the_answers_can_be_checked() -> None:
    async with serving() as (_, address):
        outcome = await run_load(address, line, times=AT_ONCE, check=lambda *_: "wrong", check_every=5)
    assert outcome.checked == 4
    assert sorted(one.index for one in outcome.wrong) == [0, 5, 10, 15]


async def test_the_cpu_time_of_the_service_is_read() -> None:
    async with serving() as (_, address):
        outcome = await run_load(address, line, times=AT_ONCE, seconds=0.1, pids=[os.getpid()])
        unwatched = await run_load(address, line, times=AT_ONCE, seconds=0.1)
    assert outcome.cpu_s >= 0
    assert np.isnan(unwatched.cpu_s)


async def test_a_run_without_arrivals_ends() -> None:
    outcome = await run_load(("127.0.0.1", 1), line, times=np.array([]))
    assert outcome.offered == 0
    assert outcome.void == "no arrivals"
