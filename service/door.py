"""What all connections of a server share: who is let in, how patient we are, and whether we are about to stop."""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

from features.clock import Clock
from features.events import Observer
from service.admission import Admission
from service.turnstile import Turnstile

_LINGER_S: Final = 2.0
"""Seconds for which a connection that is being closed discards what still arrives."""


class Guarded(Protocol):
    """A connection that can be given up.

    Attributes:
        awaits: What it waits for: `head` or `body` of a request, `nothing` (the next request may come), `end` (of what
            still arrives while it is being closed), `answer` (ours).
        since: Since when, on the monotonic clock.
    """

    awaits: str
    since: float

    def give_up(self) -> None:
        """Ends the wait, and with it the connection."""
        ...


class Door:
    """The shared part of every connection's protocol.

    Attributes:
        admission: Decides about prediction requests.
        clock: The time.
        observer: Who learns of requests that are refused here.
        routes: Paths of prediction requests, as they are written in a request line, and their labels.
        turnstile: Begins admitted requests.
        connections: Those that are open.
        draining: Whether the server is about to stop: every answer closes its connection.
    """

    def __init__(
        self,
        admission: Admission,
        clock: Clock,
        observer: Observer,
        *,
        paths: Iterable[str],
        receive_timeout_s: float,
        keep_alive_s: float,
    ) -> None:
        """Opens the door; call it within the loop that serves.

        Args:
            admission: Decides about prediction requests.
            clock: The time.
            observer: Who learns of requests that are refused here.
            paths: Paths of prediction requests.
            receive_timeout_s: Seconds for the headers, and then for the body, to arrive.
            keep_alive_s: Seconds that a connection may idle between requests.
        """
        self.admission = admission
        self.clock = clock
        self.observer = observer
        self.routes = {path.encode(): path for path in paths}
        self.turnstile = Turnstile(asyncio.get_running_loop())
        self.connections: set[Guarded] = set()
        self.draining = False
        self._patience_s: Final = {
            "head": receive_timeout_s,
            "body": receive_timeout_s,
            "nothing": keep_alive_s,
            "end": _LINGER_S,
        }

    def sweep(self) -> None:
        """Gives up connections that have waited for too long; to be called about once a second.

        Looking all of them over costs less than a timer for each request, which would be armed and cancelled thousands
        of times a second.
        """
        now = self.clock.monotonic()
        for connection in tuple(self.connections):
            patience_s = self._patience_s.get(connection.awaits)
            if patience_s is not None and now - connection.since > patience_s:
                connection.give_up()
