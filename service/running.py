"""A run of the service: from settings to an exit code, in one process or in several."""

import asyncio
import multiprocessing
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import uvloop

from service.early_signals import stop_at_once
from service.errors import StartError
from service.logs import configure_logging
from service.server import bound_socket
from service.serving import serve
from service.settings import Platform, Settings, listen_port, read_settings
from service.telemetry.drops import Drops
from service.workers import supervise


def run(arguments: Sequence[str]) -> int:
    """Serves until a signal says stop; returns the process's exit code.

    Args:
        arguments: Command-line flags, without the program's name.
    """
    logs = configure_logging()
    try:
        settings, platform = read_settings(arguments)
        with ExitStack() as stack:
            ports = [listen_port(settings, platform), *([] if settings.admin_port is None else [settings.admin_port])]
            sockets = [stack.enter_context(bound_socket(settings.host, port)) for port in ports]
            if settings.workers == 1:
                return _work(settings, platform, sockets)
            logs = configure_logging(settings)
            supervise(partial(_work, settings, platform), sockets, settings.workers)
    except StartError as error:
        return _failed(error)
    finally:
        logs.close()
    return 0


def _work(settings: Settings, platform: Platform, sockets: Sequence[socket.socket], *, first: bool = True) -> int:
    """What one process does, of one or several; returns its exit code."""
    if multiprocessing.parent_process() is not None:  # a process of our own making
        stop_at_once()
    drops = Drops()
    logs = configure_logging(settings, drops=drops)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, platform, sockets, drops, greet=first))
    except StartError as error:
        return _failed(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass  # a signal to stop while it was still starting: there was nothing to finish
    finally:
        logs.close()
    return 0


def _failed(error: StartError) -> int:
    sys.stdout.write(f"keyscore cannot start: {error}\n")
    return 1
