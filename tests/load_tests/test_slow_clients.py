"""Slow clients, against servers that throw them out and one that does not."""

import asyncio
from collections import Counter

import pytest

from load_tests.slow_clients import hold

pytestmark = pytest.mark.anyio


async def test_a_connection_that_the_server_ends_is_told_with_what_it_said() -> None:
    beginnings: Counter[bytes] = Counter()

    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readuntil(b"Host: bench\r\n")
        first += await reader.read(500)
        beginnings[b"body" if b"Content-Length" in first else b"headers"] += 1
        writer.write(b"HTTP/1.1 408 x\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(impatient, "127.0.0.1", 0)
    async with server:
        held = await hold(server.sockets[0].getsockname()[:2], 20, patience_s=60.0, every_s=0.001)
    assert beginnings == {b"headers": 10, b"body": 10}
    assert Counter(one.part for one in held) == {"headers": 10, "body": 10}
    assert all(one.closed and one.answer.startswith(b"HTTP/1.1 408") for one in held)


async def test_a_connection_that_nobody_ends_is_told_as_open() -> None:
    held_open: list[asyncio.StreamWriter] = []

    async def patient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held_open.append(writer)
        while await reader.read(100):
            pass
        writer.close()

    server = await asyncio.start_server(patient, "127.0.0.1", 0)
    async with server:
        held = await hold(server.sockets[0].getsockname()[:2], 4, patience_s=0.05, every_s=0.01)
    assert [one.closed for one in held] == [False] * 4
    assert len(held_open) == 4
