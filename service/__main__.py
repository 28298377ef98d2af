"""`python -m service`: loads the bundle, proves it, opens the port, serves. What the container runs.

The port opens after the bundle has loaded and scored its golden lines, so a platform that takes an open port for
readiness sends nothing too early. What goes wrong before that is one line and exit code 1.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import uvicorn
import uvloop

from service.app import create_app
from service.banner import banner
from service.errors import StartError
from service.responses import model_identity
from service.settings import Platform, Settings, listen_port, read_settings
from service.wiring import running_service

_DRAIN_S: Final = 5
"""Seconds that requests under way have after a signal to stop; Cloud Run kills after ten."""

_KEEP_ALIVE_S: Final = 620
"""Seconds that a connection may idle. Google's load balancers keep theirs for 600 s: who closes first loses requests.
Source: https://cloud.google.com/load-balancing/docs/https/request-distribution#http-keepalive-timeout"""


class _Server(uvicorn.Server):
    """uvicorn's server, which says when its port is open."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._started = started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal to stop is an order, not a failure: uvicorn would raise it again at the end, for exit code 143."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        await self._started()


async def serve(settings: Settings, platform: Platform) -> None:
    """Serves until a signal says stop.

    Raises:
        StartError: The service cannot start.
    """
    with _bound_socket(settings.host, listen_port(settings, platform)) as listening:
        async with running_service(settings, platform) as service:

            async def greet() -> None:
                port = listening.getsockname()[1]
                if platform.managed:
                    identity = model_identity(service.bundle)
                    sys.stdout.write(f"keyscore serves {' '.join(identity.values())} on port {port}\n")
                else:
                    sys.stdout.write(await banner(service, port))
                sys.stdout.flush()

            config = uvicorn.Config(
                create_app(service),
                http="httptools",
                ws="none",
                lifespan="off",  # the service has started already
                access_log=False,
                server_header=False,
                log_config=None,
                timeout_graceful_shutdown=_DRAIN_S,
                timeout_keep_alive=_KEEP_ALIVE_S,
            )
            gc.collect()
            gc.freeze()  # what start-up made lives as long as the process; collections need not look at it again
            try:
                await _Server(config, greet).serve([listening])
            except OSError as error:  # two processes held the port at once, and the other one began to listen
                raise StartError(f"cannot listen on port {listening.getsockname()[1]}: {error.strerror}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server; returns the process's exit code."""
    # Everything goes to stdout: Vertex AI records what comes on stderr as errors.
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings, platform = read_settings(sys.argv[1:] if arguments is None else arguments)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, platform))
    except StartError as error:
        sys.stdout.write(f"keyscore cannot start: {error}\n")
        return 1
    except KeyboardInterrupt:  # Ctrl-C while it was still starting
        return 0
    return 0


def _bound_socket(host: str, port: int) -> socket.socket:
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


if __name__ == "__main__":
    sys.exit(main())
