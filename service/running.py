"""A run of the service: from settings to an exit code, in one process or in several."""

import asyncio
import logging
import socket
import sys
from collections.abc import Sequence
from functools import partial

import uvloop

from service.errors import StartError
from service.server import bound_socket, serve
from service.settings import Platform, Settings, listen_port, read_settings
from service.workers import supervise


def run(arguments: Sequence[str]) -> int:
    """Serves until a signal says stop; returns the process's exit code.

    Args:
        arguments: Command-line flags, without the program's name.
    """
    _log_plainly()
    try:
        settings, platform = read_settings(arguments)
        with bound_socket(settings.host, listen_port(settings, platform)) as listening:
            if settings.workers == 1:
                return _serve(settings, platform, listening)
            supervise(partial(_work, settings, platform), [listening], settings.workers)
    except StartError as error:
        return _failed(error)
    return 0


def _work(settings: Settings, platform: Platform, sockets: Sequence[socket.socket], *, first: bool) -> int:
    """What one of several processes does; returns its exit code."""
    _log_plainly()
    try:
        return _serve(settings, platform, *sockets, greet=first)
    except StartError as error:
        return _failed(error)


def _serve(settings: Settings, platform: Platform, listening: socket.socket, *, greet: bool = True) -> int:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, platform, listening, greet=greet))
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass  # a signal to stop while it was still starting: there was nothing to finish
    return 0


def _failed(error: StartError) -> int:
    sys.stdout.write(f"keyscore cannot start: {error}\n")
    return 1


def _log_plainly() -> None:
    # Everything goes to stdout: Vertex AI records what comes on stderr as errors.
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
