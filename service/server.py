"""Serving: ports, signals, the way down.

The port opens after the bundle has loaded and scored its golden lines, so a platform that takes an open port for
readiness sends nothing too early. The way down has four steps, each with a bound of its own, 9 s in all, since Cloud
Run kills after ten:

    SIGTERM ─► drain     not ready, every answer closes its connection: balancers go elsewhere   (drain_s, 2 s)
            ─► finish    the port is closed, what is in flight is answered                       (4 s)
            ─► flush     the last metrics, spans and log lines                                   (2 s)
            ─► exit 0
"""

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from service.app import create_app
from service.banner import banner
from service.door import Door
from service.errors import StartError
from service.protocol import guarded_by
from service.responses import model_identity
from service.settings import Platform, Settings
from service.wiring import Service, running_service

log = logging.getLogger("keyscore")

_FINISH_S: Final = 4
"""Seconds that requests in flight have after the port has closed."""

_LAST_RESORT_S: Final = 8.7
"""Seconds after a signal to stop when the process ends whatever hangs; Cloud Run kills after ten."""

_KEEP_ALIVE_S: Final = 620.0
"""Seconds that a connection may idle. Google's load balancers keep theirs for 600 s: who closes first loses requests.
Source: https://cloud.google.com/load-balancing/docs/https/request-distribution#http-keepalive-timeout"""

_ACCEPTS_AT_A_TURN: Final = 16
"""New connections taken in one turn of the loop. libuv takes one for each listening descriptor, which under load is
about a hundred a second: measured with 300 connections at once, the last was answered after a second. So the
descriptor is duplicated.
Source: libuv 1.46, "unix: don't accept() connections in a loop"."""

_SWEEP_TICKS: Final = 10
"""How many of uvicorn's ticks, ten a second, pass between two looks at the connections."""


class Server(uvicorn.Server):
    """uvicorn's server with a door, which says when its port is open and leaves signals to `serve`."""

    def __init__(self, app: ASGIApp, door: Door, started: Callable[[], Awaitable[None]]) -> None:
        """Sets uvicorn up; nothing is opened yet.

        Args:
            app: What to serve.
            door: What the connections share.
            started: Awaited when the port is open.
        """
        config = uvicorn.Config(
            app,
            http=guarded_by(door),
            ws="none",
            lifespan="off",  # the service has started already
            access_log=False,
            server_header=False,
            log_config=None,
            timeout_graceful_shutdown=_FINISH_S,
        )
        super().__init__(config)
        self._door = door
        self._started = started
        self._told: Counter[str] = Counter()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none: a signal to stop is an order for the whole process, and `serve` takes it."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        await self._started()

    async def on_tick(self, counter: int) -> bool:
        """See uvicorn; called ten times a second."""
        if counter % _SWEEP_TICKS == 0:
            self._door.sweep()
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


async def serve(settings: Settings, platform: Platform, listening: socket.socket, *, greet: bool = True) -> None:
    """Serves until a signal says stop.

    Args:
        settings: How to set the service up.
        platform: Where it runs.
        listening: The bound socket of the port.
        greet: Whether to say on stdout what is served where.

    Raises:
        StartError: The service cannot start.
    """
    stop = _Stop()
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running_service(settings, platform))

        async def started() -> None:
            if greet:
                port = listening.getsockname()[1]
                sys.stdout.write(await _greeting(service, port))
                sys.stdout.flush()

        door = Door(
            service.pipeline.admission,
            service.clock,
            service.tally,
            paths=service.prediction_paths,
            receive_timeout_s=settings.receive_timeout_s,
            keep_alive_s=_KEEP_ALIVE_S,
        )
        server = Server(create_app(service), door, started)
        gc.collect()
        gc.freeze()  # what start-up made lives as long as the process; collections need not look at it again
        stop.orders(service, server)
        try:
            await server.serve([listening, *(listening.dup() for _ in range(_ACCEPTS_AT_A_TURN - 1))])
        except OSError as error:  # two processes held the port at once, and the other one began to listen
            raise StartError(f"cannot listen on port {listening.getsockname()[1]}: {error.strerror}") from error


class _Stop:
    """Takes signals to stop, from before the start to the end.

    SIGTERM is a platform's: drain first. SIGINT is somebody at a keyboard: no draining. A second signal of any kind
    ends the draining.
    """

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._targets: tuple[Service, Server] | None = None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take, number)
        parent = multiprocessing.parent_process()
        if parent is not None:  # a worker does not outlive who started it
            loop.add_reader(parent.sentinel, self._orphaned, parent.sentinel)

    def orders(self, service: Service, server: Server) -> None:
        """Says who is to be stopped from now on."""
        self._targets = (service, server)

    def _orphaned(self, sentinel: int) -> None:
        asyncio.get_running_loop().remove_reader(sentinel)
        self._take(signal.SIGTERM)

    def _take(self, number: signal.Signals) -> None:
        _end_anyway()
        if self._targets is None:
            assert self._task is not None  # noqa: S101  # made within a task
            self._task.cancel()  # still starting: there is nothing to finish
            return
        service, server = self._targets
        service.ready = False
        server.drain(service.settings.drain_s if number == signal.SIGTERM else 0.0)


def _end_anyway() -> None:
    """Ends the process if it has not ended by itself in time, for example because of a thread that hangs."""
    timer = threading.Timer(_LAST_RESORT_S, os._exit, (1,))
    timer.daemon = True
    timer.start()


async def _greeting(service: Service, port: int) -> str:
    if service.platform.managed:
        return f"keyscore serves {' '.join(model_identity(service.bundle).values())} on port {port}\n"
    return await banner(service, port)


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
