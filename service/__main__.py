"""`python -m service`: loads the bundle, proves it, opens the port, serves. What the container runs.

What goes wrong before the port is open is one line and exit code 1; a signal to stop is an order, and its end is exit
code 0.
"""

import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server; returns the process's exit code."""
    try:
        from service.running import run  # noqa: PLC0415  # half a second, in which a signal is an order already

        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return 0


def _stop(number: int, frame: object) -> None:  # noqa: ARG001  # as the signal module calls it
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)  # until somebody is there to take it
    sys.exit(main())
