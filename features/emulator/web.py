"""A web server inside an event loop that is somebody else's: no signal handlers, no log, no loop of its own."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp


@asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int) -> AsyncIterator[int]:
    """Serves `app` until the block ends; gives the port, which the system chooses for 0.

    What uvicorn does between start-up and shutdown is to look ten times a second whether it is to end. Here the block
    ends instead.

    Raises:
        OSError: The port cannot be had.
    """
    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off", access_log=False, log_config=None, timeout_graceful_shutdown=5
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listening = _listening(host, port)
    chosen: int = listening.getsockname()[1]
    await server.startup([listening])
    try:
        yield chosen
    finally:
        await server.shutdown([listening])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Said in full, for asyncio switches Nagle's delay off only for sockets that say that they are TCP.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    return bound
