"""A round robin over several services, as simple as a load balancer can be: it forgives nothing and hides nothing.

It asks every service for `/readyz` ten times a second, sends each request to the next one that is ready, over
connections that it keeps, and gives one up that says `Connection: close`. It repeats nothing: whatever a service drops
is a failed request, answered with 502.

    client ── Downstream ── whole request ──► next ready backend ── Upstream ── whole answer ──► client
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

from load_tests.processes import status_of

POLL_S: Final = 0.1
"""Seconds between two looks at `/readyz`."""

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length:"
_CLOSE: Final = b"\r\nconnection: close"
_READY: Final = 200
_BAD_GATEWAY: Final = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nX-Balancer: lost\r\n\r\n"
_NOBODY: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nX-Balancer: nobody\r\n\r\n"


@dataclass(slots=True)
class Backend:
    """A service.

    Attributes:
        address: Where it listens.
        ready: Whether it said so when it was last asked.
        idle: Connections to it that are free.
        requests: Requests that it was sent.
    """

    address: tuple[str, int]
    ready: bool = False
    idle: "list[Upstream]" = field(default_factory=list)
    requests: int = 0


class Balancer:
    """Listens on a free port of loopback while its block lasts.

    Attributes:
        backends: The services.
        lost: Requests whose service dropped them.
        address: Where it listens.
    """

    def __init__(self, addresses: Sequence[tuple[str, int]], poll_s: float = POLL_S) -> None:
        """Balances over these addresses.

        Args:
            addresses: Of the services.
            poll_s: Seconds between two looks at their readiness.
        """
        self.backends = [Backend(address) for address in addresses]
        self.lost = 0
        self._poll_s = poll_s
        self._turn = 0
        self._clients: set[Downstream] = set()

    async def __aenter__(self) -> Self:
        await self.poll()
        self._polling = asyncio.create_task(self._poll_for_ever())
        self._server = await asyncio.get_running_loop().create_server(lambda: Downstream(self), "127.0.0.1", 0)
        self.address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._polling.cancel()
        with suppress(asyncio.CancelledError):
            await self._polling
        self._server.close()
        for client in tuple(self._clients):
            client.close()
        for backend in self.backends:
            for upstream in backend.idle:
                upstream.close()

    async def poll(self) -> None:
        """Asks every service whether it is ready."""
        await asyncio.gather(*map(self._ask, self.backends))

    async def _ask(self, backend: Backend) -> None:
        backend.ready = await status_of(backend.address[1], "/readyz", 1.0) == _READY

    async def _poll_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await self.poll()

    def next_backend(self) -> Backend | None:
        """The next service in turn that is ready."""
        for _ in self.backends:
            self._turn = (self._turn + 1) % len(self.backends)
            if self.backends[self._turn].ready:
                return self.backends[self._turn]
        return None

    def came(self, client: "Downstream") -> None:
        """A client has connected."""
        self._clients.add(client)

    def went(self, client: "Downstream") -> None:
        """A client has gone."""
        self._clients.discard(client)


class Downstream(asyncio.Protocol):
    """A client's connection; one request at a time."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._transport: Any = None
        self._received = b""
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = transport
        self._balancer.came(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """See asyncio."""
        self._balancer.went(self)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._received += data
        if _whole(self._received):
            request, self._received = self._received, b""
            self._hand_on(request)

    def answer(self, data: bytes, *, close: bool) -> None:
        """Sends the client its answer."""
        if not self._transport.is_closing():
            self._transport.write(data)
            if close:
                self._transport.close()

    def lose(self) -> None:
        """Tells the client that the service has dropped its request."""
        self._balancer.lost += 1
        self.answer(_BAD_GATEWAY, close=False)

    def close(self) -> None:
        """Ends the connection."""
        self._transport.close()

    def _hand_on(self, request: bytes) -> None:
        backend = self._balancer.next_backend()
        if backend is None:
            self._balancer.lost += 1
            self.answer(_NOBODY, close=False)
            return
        backend.requests += 1
        while backend.idle:
            upstream = backend.idle.pop()
            if not upstream.closed:
                upstream.ask(self, request)
                return
        self._opening = asyncio.create_task(self._open(backend, request))

    async def _open(self, backend: Backend, request: bytes) -> None:
        try:
            _, upstream = await asyncio.get_running_loop().create_connection(
                lambda: Upstream(backend), *backend.address
            )
        except OSError:
            self.lose()
        else:
            upstream.ask(self, request)


class Upstream(asyncio.Protocol):
    """A connection to a service.

    Attributes:
        closed: Whether it can take no further request.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._transport: Any = None
        self._client: Downstream | None = None
        self._received = b""
        self.closed = False

    def ask(self, client: Downstream, request: bytes) -> None:
        """Sends a request whose answer is for `client`."""
        self._client = client
        if self.closed:
            self._lose()
        else:
            self._transport.write(request)

    def close(self) -> None:
        """Ends the connection."""
        self.closed = True
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """See asyncio."""
        self.closed = True
        if self in self._backend.idle:
            self._backend.idle.remove(self)
        self._lose()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._received += data
        if self._client is None or not _whole(self._received):
            return
        answer, self._received = self._received, b""
        client, self._client = self._client, None
        if _CLOSE in answer.partition(_HEAD_END)[0].lower():
            self.close()
        else:
            self._backend.idle.append(self)
        client.answer(answer, close=self.closed)

    def _lose(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            client.lose()


def _whole(message: bytes) -> bool:
    """Whether head and body have come; a message without Content-Length has no body."""
    end = message.find(_HEAD_END)
    if end < 0:
        return False
    head = message[: end + 2].lower()
    at = head.find(_LENGTH)
    if at < 0:
        return True
    return len(message) >= end + 4 + int(head[at + len(_LENGTH) : head.index(b"\r", at + 2)])
