"""`python -m service`: loads the bundle, proves it, opens the port, serves. What the container runs.

What goes wrong before the port is open is one line and exit code 1; a signal to stop is an order, and its end is exit
code 0.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence

import uvloop

from service.errors import StartError
from service.server import bound_socket, serve
from service.settings import Platform, Settings, listen_port, read_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server; returns the process's exit code."""
    # Everything goes to stdout: Vertex AI records what comes on stderr as errors.
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings, platform = read_settings(sys.argv[1:] if arguments is None else arguments)
        run(settings, platform)
    except StartError as error:
        sys.stdout.write(f"keyscore cannot start: {error}\n")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):  # a signal to stop while it was still starting
        return 0
    return 0


def run(settings: Settings, platform: Platform) -> None:
    """Serves in this process until a signal says stop.

    Raises:
        StartError: The service cannot start.
    """
    with (
        bound_socket(settings.host, listen_port(settings, platform)) as listening,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(serve(settings, platform, listening))


def _stop_at_once(number: int, frame: object) -> None:  # noqa: ARG001  # as the signal module calls it
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop_at_once)  # until the loop runs and takes signals itself
    sys.exit(main())
