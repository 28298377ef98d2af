"""The proxy passes bytes on as they are, as fast as the other side takes them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from features.emulator.proxy import Proxy

pytestmark = pytest.mark.anyio

MUCH = bytes(range(256)) * 64 * 1024  # 16 MiB: more than the kernel and asyncio hold between two ends


class _Far:
    """The server behind: keeps its last connection, and reads only when told."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.connected.set()


@pytest.fixture
async def far() -> _Far:
    return _Far()


@pytest.fixture
async def proxy(far: _Far) -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(far.take, "127.0.0.1", 0)
    proxy = Proxy(lambda: None)
    proxy.upstream_port = server.sockets[0].getsockname()[1]
    await proxy.listen("127.0.0.1", 0)
    yield proxy
    await proxy.close()
    server.close()
    if far.connected.is_set():
        far.writer.close()


async def test_a_slow_reader_slows_its_writer_in_either_direction(proxy: Proxy, far: _Far) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    await far.connected.wait()
    for source, target in ((far.writer, reader), (writer, far.reader)):
        source.write(MUCH)
        draining = asyncio.create_task(source.drain())
        for _ in range(200):
            await asyncio.sleep(0)
        assert not draining.done(), "nobody reads yet"
        assert await target.readexactly(len(MUCH)) == MUCH
        await draining
    writer.close()


async def test_what_is_said_before_the_server_behind_is_reached_arrives(proxy: Proxy, far: _Far) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"early")
    await far.connected.wait()
    assert await far.reader.readexactly(5) == b"early"
    writer.close()


async def test_a_server_behind_that_closes_closes_the_client(proxy: Proxy, far: _Far) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    await far.connected.wait()
    assert "connections=1" in repr(proxy)
    far.writer.close()
    assert await reader.read() == b""
    writer.close()


async def test_a_server_behind_that_is_gone_ends_the_connection() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    proxy = Proxy(lambda: None)
    proxy.upstream_port = server.sockets[0].getsockname()[1]
    server.close()
    await proxy.listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await reader.read() == b""
    writer.close()
    await proxy.close()


async def test_a_port_that_is_closed_while_a_client_is_being_connected_leaves_no_task(proxy: Proxy) -> None:
    before = asyncio.all_tasks()
    _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    await proxy.close()
    writer.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
