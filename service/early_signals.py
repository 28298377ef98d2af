"""Signals that come before there is anything to stop: half a second of imports, and a bundle that loads."""

import os
import signal


def stop_at_once() -> None:
    """From here on an order to stop ends this process with exit code 0, until somebody else takes the order.

    Nothing has been served or written yet, so nothing needs to be undone; and an exception raised by a signal in the
    middle of an import may end up anywhere.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
