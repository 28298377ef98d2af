"""A port and what is served on it: uvicorn's server with a door, which can be drained."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from service.door import Door
from service.errors import StartError
from service.protocol import guarded_by

log = logging.getLogger("keyscore")

_ACCEPTS_AT_A_TURN: Final = 64
"""New connections taken in one turn of the loop. libuv takes one for each listening descriptor, which under load is
about a hundred a second: measured with 300 connections at once, the last was answered after a second. So the
descriptor is duplicated. Each duplicate costs every new connection 1 us, since all of them are told of it; with 16, the
850 that come at once with twice the load that can be served waited for 110 ms, with 64 for 60.
Source: libuv 1.46, "unix: don't accept() connections in a loop"."""

_SWEEP_TICKS: Final = 10
"""How many of uvicorn's ticks, ten a second, pass between two looks at the connections."""


class Server(uvicorn.Server):
    """uvicorn's server with a door, which says when its port is open and leaves signals to `serve`."""

    def __init__(
        self, app: ASGIApp, door: Door, started: Callable[[], Awaitable[None]], *, finish_s: float = 4.0
    ) -> None:
        """Sets uvicorn up; nothing is opened yet.

        Args:
            app: What to serve.
            door: What the connections share.
            started: Awaited when the port is open.
            finish_s: Seconds that requests in flight have after the port has closed.
        """
        config = uvicorn.Config(
            app,
            http=guarded_by(door),
            ws="none",
            lifespan="off",  # the service has started already
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing here asks where a caller is
            log_config=None,
            timeout_graceful_shutdown=finish_s,  # type: ignore[arg-type]  # declared as int, used as seconds
        )
        super().__init__(config)
        self._door = door
        self._started = started
        self._told: Counter[str] = Counter()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none: a signal to stop is an order for the whole process, and `serve` takes it."""
        yield

    async def serve_on(self, listening: socket.socket) -> None:
        """Serves on a bound socket until it is told to stop.

        Raises:
            OSError: Somebody else listens there.
        """
        await self.serve([listening, *(listening.dup() for _ in range(_ACCEPTS_AT_A_TURN - 1))])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        await self._started()

    async def on_tick(self, counter: int) -> bool:
        """See uvicorn; called ten times a second."""
        if counter % _SWEEP_TICKS == 0:
            self._door.sweep()
            if self._door.routes:
                self._tell_of_refusals()
        return await super().on_tick(counter)

    def _tell_of_refusals(self) -> None:
        """One line a second at most: a line for each refusal would be what overload needs least."""
        for partition in self._door.admission.partitions:
            count = partition.shed - self._told[partition.name]
            if count:
                self._told[partition.name] = partition.shed
                text = "refused %d %s requests in the last second; at most %d are let in at once"
                log.warning(text, count, partition.name, partition.limit)

    def drain(self, seconds: float) -> None:
        """Closes the port after `seconds`, in which every answer closes its connection; at once the second time."""
        if self._door.draining or not seconds:
            self.should_exit = True
        else:
            asyncio.get_running_loop().call_later(seconds, self._close_port)
        self._door.drain()

    def _close_port(self) -> None:
        self.should_exit = True


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that holds the port but does not listen yet: who connects before the service is ready is refused.

    Raises:
        StartError: The address cannot be had.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((host, port))
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port} ({error.strerror}); set PORT to a free port") from error
    return bound
