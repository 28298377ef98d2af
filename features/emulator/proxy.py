"""The door to the gRPC port: a TCP proxy that passes bytes on, and can maltreat them.

All connections go through it, always. That costs a lone call 0.15 ms, and a fifth of the rate under load; for that the
port can be closed and opened again, and a connection be reset, slowed or told to go away, while the gRPC server behind
notices nothing but a lost peer.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from features.emulator.fault_rules import FaultRule
from features.emulator.outlet import Outlet

_LOOPBACK: Final = "127.0.0.1"


class Proxy:
    """Listens for clients and connects each to the server behind.

    Args:
        accepted: Called for each connection taken.

    Attributes:
        port: Where it listens, or did last.
        upstream_port: The server's port on the loopback interface.
    """

    __slots__ = ("_accepted", "_by_upstream_port", "_connections", "_listening", "port", "upstream_port")

    def __init__(self, accepted: Callable[[], None]) -> None:
        self.port = 0
        self.upstream_port = 0
        self._accepted = accepted
        self._listening: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._by_upstream_port: dict[int, Connection] = {}

    def __repr__(self) -> str:
        return f"<Proxy port={self.port} {'up' if self.up else 'down'} connections={len(self._connections)}>"

    @property
    def up(self) -> bool:
        """Whether it takes connections."""
        return self._listening is not None

    async def listen(self, host: str, port: int) -> None:
        """Opens the port; 0 lets the system choose one.

        Raises:
            OSError: The port cannot be had.
        """
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(lambda: Connection(self), host, port)
        except OSError as error:
            reason = (
                os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            )  # asyncio's is long
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {reason}") from error
        self.port = self._listening.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Closes the port and resets every connection, as the kernel does for a process that was killed."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        await asyncio.sleep(0)  # a connection that the loop has taken but not yet announced
        connections = list(self._connections)
        for connection in connections:
            connection.reset()
        await asyncio.gather(*(connection.closed for connection in connections))

    def heal(self) -> None:
        """Ends what connections suffer; bytes that were held back go on."""
        for connection in self._connections:
            connection.heal()

    def connection(self, peer: str) -> "Connection | None":
        """The connection that the server behind knows as `peer`, in gRPC's spelling (`ipv4:127.0.0.1:1234`)."""
        return self._by_upstream_port.get(int(peer.rpartition(":")[2]))

    # What follows is for its connections.

    def add(self, connection: "Connection") -> None:
        """Notes a connection taken."""
        self._accepted()
        self._connections.add(connection)

    async def connect(self, connection: "Connection") -> None:
        """Connects a client's connection onwards."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: _ServerSide(connection), _LOOPBACK, self.upstream_port)
        self._by_upstream_port[transport.get_extra_info("sockname")[1]] = connection
        connection.connected(transport)

    def remove(self, connection: "Connection", upstream_port: int | None) -> None:
        """Forgets a connection that is closed."""
        self._connections.discard(connection)
        if upstream_port is not None:
            self._by_upstream_port.pop(upstream_port, None)


class Connection(asyncio.Protocol):
    """One client's connection, with its continuation to the server behind. This protocol is the client's side.

    Attributes:
        closed: Done when both sides are closed.
    """

    __slots__ = ("_client", "_connecting", "_early", "_outlet", "_proxy", "_server", "closed")

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._client: asyncio.Transport
        self._outlet: Outlet
        self._server: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None]
        self._early = bytearray()  # what the client says before there is somebody to pass it to; not paused, because
        # uvloop does not heed a pause that comes this early
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def suffer(self, rule: FaultRule) -> None:
        """Makes a fault of the connection happen to what the client gets from here on."""
        self._outlet.suffer(rule)

    def heal(self) -> None:
        """Ends what it suffers."""
        self._outlet.heal()

    def reset(self) -> None:
        """Ends the connection by a TCP reset."""
        self._outlet.reset()

    # The client's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._client = transport  # type: ignore[assignment]  # a server's transport, which uvloop derives otherwise
        self._outlet = Outlet(self._client)
        self._proxy.add(self)
        self._connecting = asyncio.get_running_loop().create_task(self._proxy.connect(self))
        self._connecting.add_done_callback(self._tried)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._server is None:
            self._early += data
        else:
            self._server.write(data)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """See `asyncio.Protocol`."""
        self._outlet.close()
        self._connecting.cancel()
        if self._server is None:
            self._end(None)
        else:
            self._server.abort()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`: the client reads more slowly than the server writes."""
        if self._server is not None:
            self._server.pause_reading()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        if self._server is not None:
            self._server.resume_reading()

    # The server's side.

    def connected(self, server: asyncio.Transport) -> None:
        """The server behind has taken the connection."""
        self._server = server
        server.write(bytes(self._early))
        self._early.clear()

    def from_server(self, data: bytes) -> None:
        """Passes on what the server says."""
        self._outlet.write(data)

    def server_lost(self, upstream_port: int) -> None:
        """The server's side is closed, by the server or because the client is gone."""
        self._client.close()
        self._end(upstream_port)

    def pause_client(self) -> None:
        """The server reads more slowly than the client writes."""
        self._client.pause_reading()

    def resume_client(self) -> None:
        """The server has caught up."""
        self._client.resume_reading()

    def _tried(self, connecting: asyncio.Task[None]) -> None:
        if connecting.cancelled() or connecting.exception() is not None:  # the server behind has ended
            self._client.abort()

    def _end(self, upstream_port: int | None) -> None:
        self._proxy.remove(self, upstream_port)
        if not self.closed.done():
            self.closed.set_result(None)


class _ServerSide(asyncio.Protocol):
    """The protocol of a connection's other side."""

    __slots__ = ("_connection", "_port")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._port = transport.get_extra_info("sockname")[1]

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._connection.from_server(data)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """See `asyncio.Protocol`."""
        self._connection.server_lost(self._port)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._connection.pause_client()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._connection.resume_client()
