"""Callers who ask again as soon as they are answered."""

import asyncio
from collections.abc import AsyncIterator
from itertools import repeat

import pytest

from load_tests.closed_loop import ask_all, for_a_while
from load_tests.generator import Address

pytestmark = pytest.mark.anyio

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
async def address() -> AsyncIterator[Address]:
    """A server that answers each line, `no` by a refusal."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(REFUSAL if line == b"no\n" else ANSWER)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[:2]


async def test_every_answer_is_counted_by_its_status_and_timed(address: Address) -> None:
    asked = await ask_all(address, iter([b"yes\n", b"no\n", b"yes\n"]), 2)
    assert asked.statuses == {200: 2, 503: 1}
    assert (asked.answered, asked.total, len(asked.times)) == (2, 3, 3)
    assert 0 < asked.p(0.5) <= asked.p(1.0) <= asked.seconds
    assert asked.rate == asked.answered / asked.seconds


async def test_the_first_answer_and_then_one_in_so_many_is_kept_with_its_request(address: Address) -> None:
    asked = await ask_all(address, repeat(b"yes\n", 10), 1, keep_every=4)
    assert asked.kept == [(b"yes\n", ANSWER.partition(b"\r\n\r\n")[0], b"ok")] * 3


async def test_requests_are_asked_over_and_over_while_there_is_time() -> None:
    requests = for_a_while([b"a", b"b"], 60.0)
    assert [next(requests) for _ in range(5)] == [b"a", b"b", b"a", b"b", b"a"]
    assert list(for_a_while([b"a"], 0.0)) == []
