"""Serving, from a start that is proved to an end that loses nothing.

The port opens after the bundle has loaded and scored its golden lines, so a platform that takes an open port for
readiness sends nothing too early. The way down has four steps, each with a bound of its own, since Cloud Run kills ten
seconds after SIGTERM:

    drain     not ready, every answer closes its connection: balancers go elsewhere   (`drain_s`, 2 s)
    finish    the port is closed, what is in flight is answered                       (what is left of 5.7 s)
    flush     the last metrics and spans, side by side; then the last log lines       (2 s and 0.5 s)
    exit 0
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
from collections.abc import Iterable, Sequence
from typing import Final

from service.access import AccessLog
from service.admission import LARGE_BYTES
from service.app import create_admin_app, create_app
from service.banner import banner
from service.door import Door
from service.errors import StartError
from service.responses import model_identity
from service.server import Server
from service.settings import Platform, Settings
from service.telemetry.drops import Drops
from service.wiring import Service, running_service

log = logging.getLogger("keyscore")

_STOP_S: Final = 5.7
"""Seconds for draining and finishing together; finishing has at least half a second of them."""

_LAST_RESORT_S: Final = 8.95
"""Seconds after a signal to stop when the process ends whatever hangs, with exit code 1; Cloud Run kills after ten. So
the way down, with everything at its worst, has to be shorter:

    drain and finish                                          5.7    `_STOP_S`
    uvicorn sees the order at its next tick, and pauses once  0.2
    the last metrics and spans, side by side                  2.0    `push.BOUND_S`, `tracing.CLOSE_S`
    a read of the embedded store that hangs                   0.1    `sqlite.CLOSE_S`
    the last log lines, when nobody reads them                0.5    `logs.CLOSE_S`
                                                              8.5

The rest is for what waits for nobody and so has no bound: tasks that are cancelled, connections that are closed, the
interpreter's own end."""

_GC_THRESHOLDS: Final = (1_000, 5, 100_000)
"""When garbage is collected. What requests leave behind dies young. Objects that were not looked at lately take 0.5 to
1 us each: with 10,000 and 10 the second generation held cold requests up for 15 to 50 ms, and their refusals with them;
so it takes 5 ms. Warm throughput is the same (15,000/s, within 5 %). The third generation holds the cache, and looking
100,000 rows over takes 0.3 s, or 3 s where the machine has put their memory aside (measured: every 150 s at 3,000 cold
requests a second, with a threshold of 4,000). So it has hours between its collections, and neither
connections nor requests, answered or failed, leave anything that refers to itself: what they held is free at once."""

_KEEP_ALIVE_S: Final = 620.0
"""Seconds that a connection may idle. Google's load balancers keep theirs for 600 s: who closes first loses requests.
Source: https://cloud.google.com/load-balancing/docs/https/request-distribution#http-keepalive-timeout"""


async def serve(
    settings: Settings, platform: Platform, sockets: Sequence[socket.socket], drops: Drops, *, greet: bool = True
) -> None:
    """Serves until a signal says stop.

    Args:
        settings: How to set the service up.
        platform: Where it runs.
        sockets: The bound sockets of the port and, if there is one, of the admin port.
        drops: Who counts telemetry that was lost.
        greet: Whether to say what is served where.

    Raises:
        StartError: The service cannot start.
    """
    async with running_service(settings, platform, drops=drops) as service:

        async def started() -> None:
            if greet:
                await _greet(service, sockets[0].getsockname()[1])

        async def quietly() -> None:
            pass

        finish_s = max(0.5, _STOP_S - settings.drain_s)
        servers = [Server(create_app(service), _door(service, service.prediction_paths), started, finish_s=finish_s)]
        if settings.admin_port is not None:
            servers.append(Server(create_admin_app(service), _door(service, ()), quietly, finish_s=finish_s))
        gc.collect()
        gc.freeze()  # what start-up made lives as long as the process; collections need not look at it again
        gc.set_threshold(*_GC_THRESHOLDS)
        _Stop(service, servers)
        try:
            async with asyncio.TaskGroup() as group:
                for server, listening in zip(servers, sockets, strict=True):
                    group.create_task(server.serve_on(listening))
        except* OSError as errors:  # two processes held a port at once, and the other one began to listen
            raise StartError(f"cannot listen: {errors.exceptions[0]}") from errors
    log.info("stopped")


class _Stop:
    """Takes signals to stop, once there is something to stop; before that they end the process at once.

    SIGTERM is a platform's: drain first. SIGINT is somebody at a keyboard: no draining. A second signal of any kind
    ends the draining.
    """

    def __init__(self, service: Service, servers: Sequence[Server]) -> None:
        self._service = service
        self._servers = servers
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take, number)
        parent = multiprocessing.parent_process()
        if parent is not None:  # a worker does not outlive who started it
            loop.add_reader(parent.sentinel, self._orphaned, parent.sentinel)

    def _orphaned(self, sentinel: int) -> None:
        asyncio.get_running_loop().remove_reader(sentinel)
        self._take(signal.SIGTERM)

    def _take(self, number: signal.Signals) -> None:
        _end_anyway()
        self._service.ready = False
        drain_s = self._service.settings.drain_s if number == signal.SIGTERM else 0.0
        in_flight = self._service.pipeline.admission.in_flight
        log.info("stopping: %d requests in flight, draining for %g s", in_flight, drain_s)
        for server in self._servers:
            server.drain(drain_s)


def _end_anyway() -> None:
    """Ends the process if it has not ended by itself in time, for example because of a thread that hangs."""
    timer = threading.Timer(_LAST_RESORT_S, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _door(service: Service, paths: Iterable[str]) -> Door:
    most_bytes = service.settings.max_body_bytes
    # Whoever has to show who he is shall be asked before we keep a megabyte for him.
    whole_bytes = most_bytes if service.authenticator is None else min(LARGE_BYTES, most_bytes)
    return Door(
        service.pipeline.admission,
        service.clock,
        service.tally,
        service.turnstile,
        paths=paths,
        receive_timeout_s=service.settings.receive_timeout_s,
        access_log=AccessLog(service.settings.access_log),
        whole_bytes=whole_bytes,
        keep_alive_s=_KEEP_ALIVE_S,
    )


async def _greet(service: Service, port: int) -> None:
    if service.platform.managed or service.platform.orchestrated:
        identity = model_identity(service.bundle)
        log.info(
            "serving %s on port %d", " ".join(identity.values()), port, extra={"fields": {**identity, "port": port}}
        )
    else:
        sys.stdout.write(await banner(service, port))
        sys.stdout.flush()
