"""Metrics are sent every so often, from a thread of their own, and once more at the end.

What is sent is the state since the start, so an export that fails loses nothing but a point in time. A collector that
takes connections and never answers holds up this thread and nobody else; at the end it is given a bounded while.
"""

import asyncio
import logging
from concurrent.futures import Future
from threading import Event, Thread
from typing import Final, Protocol

from features.clock import Clock
from service.telemetry.drops import Drops

BOUND_S: Final = 2.0
"""Seconds that the end may take in all; Cloud Run kills ten seconds after it asked to stop."""

_LAST_EXPORT_S: Final = 1.5
"""Seconds of these for the last export itself."""

log = logging.getLogger("keyscore.telemetry")


class Exporter(Protocol):
    """Somebody who can send the present state."""

    def export(self, timeout_s: float | None = None) -> bool:
        """Sends it within `timeout_s`, or its own usual time; whether it arrived. Called by one thread at a time."""
        ...

    def hurry(self) -> None:
        """An export under way without a time of its own is not tried again; called by another thread."""
        ...


class Push:
    """Sends the present state at intervals.

    Not the SDK's `PeriodicExportingMetricReader`: that one collects from the SDK's own instruments, and its shutdown
    blocks whoever calls it.
    """

    __slots__ = ("_bound_s", "_drops", "_ended", "_exporter", "_interval_s", "_stopping", "_thread")

    def __init__(self, exporter: Exporter, interval_s: float, drops: Drops, *, bound_s: float = BOUND_S) -> None:
        """Sends nothing yet.

        Args:
            exporter: Who sends.
            interval_s: Seconds between two exports.
            drops: Where exports that failed are counted.
            bound_s: Seconds that `stop` may take.
        """
        self._exporter = exporter
        self._interval_s = interval_s
        self._drops = drops
        self._bound_s = bound_s
        self._stopping = Event()
        self._ended: Future[None] = Future()
        self._ended.set_running_or_notify_cancel()  # from now on nobody who stops waiting can cancel it
        self._thread = Thread(target=self._run, name="metrics-push", daemon=True)  # no reason to stay alive

    def start(self) -> None:
        """The thread runs."""
        self._thread.start()

    async def stop(self, clock: Clock) -> None:
        """One last export was made, or time was up; never raises."""
        self._stopping.set()
        self._exporter.hurry()
        ended = asyncio.wrap_future(self._ended)
        await clock.wait((ended,), clock.monotonic() + self._bound_s)
        if not ended.done():
            ended.cancel()
            self._drops.add("metrics")
            log.warning("the last export of metrics did not end within %g s and is left behind", self._bound_s)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self._export(None)
        self._export(_LAST_EXPORT_S)
        self._ended.set_result(None)

    def _export(self, timeout_s: float | None) -> None:
        try:
            arrived = self._exporter.export(timeout_s)
        except Exception:
            arrived = False
            log.exception("metrics could not be exported")
        if not arrived:
            self._drops.add("metrics")
