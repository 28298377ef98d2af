"""A round robin that forgives nothing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from load_tests.balancer import Balancer
from load_tests.closed_loop import ask_all
from load_tests.processes import exchange

pytestmark = pytest.mark.anyio

REQUEST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


class Service:
    """Answers like a service; a test says how."""

    def __init__(self) -> None:
        self.ready = True
        self.connections = 0
        self.requests = 0
        self.header = b""
        self.dropping = False

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /readyz"):
                    writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % (200 if self.ready else 503))
                    return
                await reader.readexactly(2)
                self.requests += 1
                if self.dropping:
                    return
                writer.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\n" % self.header)
                writer.write(b"ok")
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await self.talk(reader, writer)


@asynccontextmanager
async def balanced(count: int = 2) -> AsyncIterator[tuple[Balancer, list[Service]]]:
    services = [Service() for _ in range(count)]
    servers = [await asyncio.start_server(service.accept, "127.0.0.1", 0) for service in services]
    try:
        async with Balancer([server.sockets[0].getsockname() for server in servers], poll_s=3600) as balancer:
            yield balancer, services
    finally:
        for server in servers:
            server.close()


def requests(number: int) -> Iterator[bytes]:
    return iter([REQUEST] * number)


async def test_requests_go_to_each_in_turn_over_connections_that_are_kept() -> None:
    async with balanced() as (balancer, services):
        asked = await ask_all(balancer.address, requests(40), 1)
        assert asked.statuses == {200: 40}
        assert [service.requests for service in services] == [20, 20]
        assert [service.connections for service in services] == [2, 2]  # the look at /readyz, and one for all requests


async def test_a_service_that_is_not_ready_gets_nothing_once_that_is_known() -> None:
    async with balanced() as (balancer, services):
        services[0].ready = False
        await balancer.poll()
        asked = await ask_all(balancer.address, requests(10), 1)
        assert asked.statuses == {200: 10}
        assert [service.requests for service in services] == [0, 10]
        services[1].ready = False
        await balancer.poll()
        assert (await ask_all(balancer.address, requests(1), 1)).statuses == {503: 1}
        assert balancer.lost == 1


async def test_a_connection_that_says_close_takes_no_further_request() -> None:
    async with balanced(1) as (balancer, (service,)):
        service.header = b"Connection: close\r\n"
        for _ in range(3):
            assert (await exchange(balancer.address[1], b"POST /predict HTTP/1.1", b"{}"))[0] == 200
        assert service.requests == 3
        assert service.connections == 4
        assert balancer.lost == 0


async def test_nothing_is_asked_twice() -> None:
    async with balanced() as (balancer, services):
        services[0].dropping = True
        asked = await ask_all(balancer.address, requests(10), 1)
        assert Counter(asked.statuses) == {200: 5, 502: 5}
        assert [service.requests for service in services] == [5, 5]
        assert balancer.lost == 5


async def test_a_service_that_is_gone_loses_its_requests_until_that_is_known() -> None:
    async with balanced() as (balancer, services):
        balancer.backends[0].address = ("127.0.0.1", 1)  # nobody listens there
        asked = await ask_all(balancer.address, requests(4), 1)
        assert Counter(asked.statuses) == {200: 2, 502: 2}
        await balancer.poll()
        assert (await ask_all(balancer.address, requests(4), 1)).statuses == {200: 4}
        assert services[0].requests == 0
