"""What all connections of a server share: who is let in, how patient we are, and whether we are about to stop.

A prediction request is decided about when its body is there, so that a slow sender takes nobody's place. Until then the
body is held here, all bodies together within a bound; what goes beyond is decided about with the body still to come.
"""

import asyncio
from collections.abc import Iterable
from math import inf
from typing import Final, Protocol

from features.clock import Clock
from features.events import Observer
from service.access import AccessLog
from service.admission import LARGE_BYTES, Admission
from service.turnstile import Turnstile

_MOST_HELD_BYTES: Final = 16 * 1024 * 1024
"""Bytes of bodies that are held in all: ten of the largest, or 300 batches of 1,000 instances."""

_LINGER_S: Final = 2.0
"""Seconds for which a connection that is being closed discards what still arrives."""

_NO_LINES: Final = AccessLog("off")


class Guarded(Protocol):
    """A connection that can be given up.

    Attributes:
        awaits: What it waits for: `start` (of its first request), `head` or `body` of a request, `nothing` (the next
            request may come), `answer` (ours), `end` (of what still arrives while it is being closed).
        since: Since when, on the monotonic clock.
        transport: Its socket.
    """

    awaits: str
    since: float
    transport: asyncio.Transport

    def give_up(self) -> None:
        """Ends the wait, and with it the connection; an answer that is owed is given first."""
        ...

    def unread_s(self, now: float) -> float:
        """Seconds for which the client has taken nothing of what is written for it, as seen by these calls."""
        ...

    def last_call(self) -> None:
        """The answer that is being worked on shall say that it is the last one."""
        ...


class Door:
    """The shared part of every connection's protocol.

    Attributes:
        admission: Decides about prediction requests.
        clock: The time.
        observer: Who learns of requests that are refused here.
        access_log: Who writes lines about them.
        routes: Paths of prediction requests, as they are written in a request line, and their labels.
        turnstile: Begins admitted requests.
        whole_bytes: The largest body that is received before its request is decided about.
        held_bytes: Bytes of such bodies now.
        connections: Those that are open.
        draining: Whether the server is about to stop: every answer closes its connection.
    """

    def __init__(
        self,
        admission: Admission,
        clock: Clock,
        observer: Observer,
        turnstile: Turnstile,
        *,
        paths: Iterable[str],
        receive_timeout_s: float,
        keep_alive_s: float,
        access_log: AccessLog = _NO_LINES,
        whole_bytes: int = LARGE_BYTES,
        most_held_bytes: int = _MOST_HELD_BYTES,
    ) -> None:
        """Opens the door.

        Args:
            admission: Decides about prediction requests.
            clock: The time.
            observer: Who learns of requests that are refused here.
            turnstile: Begins admitted requests.
            paths: Paths of prediction requests.
            receive_timeout_s: Seconds from a request's first byte to its last; also seconds for which a
                client may take nothing of an answer.
            keep_alive_s: Seconds that a connection may idle between requests.
            access_log: Who writes lines about requests that are refused here.
            whole_bytes: The largest body that is received before its request is decided about.
            most_held_bytes: Bytes of such bodies that may be held in all.
        """
        self.admission = admission
        self.clock = clock
        self.observer = observer
        self.access_log = access_log
        self.routes = {path.encode(): path for path in paths}
        self.turnstile = turnstile
        self.whole_bytes = whole_bytes
        self.held_bytes = 0
        self._most_held_bytes: Final = most_held_bytes
        self.connections: set[Guarded] = set()
        self.draining = False
        self._receive_timeout_s: Final = receive_timeout_s
        self._patience_s: Final = {
            "start": receive_timeout_s,
            "head": receive_timeout_s,
            "body": receive_timeout_s,
            "nothing": keep_alive_s,
            "answer": inf,  # it has a deadline of its own
            "end": _LINGER_S,
        }

    def may_wait(self, size: int | None) -> bool:
        """Whether a request is worth receiving before it is decided about: it may be let in then.

        Args:
            size: The size of its body; None if nobody knows.
        """
        large = size is None or size > LARGE_BYTES
        partition = self.admission.large if large else self.admission.interactive
        return partition.has_room and (size or 0) <= self.whole_bytes

    def hold(self, body: bytearray, piece: bytes) -> bool:
        """Adds a piece to the body of a request that is not decided about; False where it cannot wait any longer."""
        body += piece
        self.held_bytes += len(piece)
        return len(body) <= self.whole_bytes and self.held_bytes <= self._most_held_bytes

    def sweep(self) -> None:
        """Gives up connections that have waited for too long; to be called about once a second.

        Looking all of them over costs less than a timer for each request, which would be armed and cancelled thousands
        of times a second.
        """
        now = self.clock.monotonic()
        for connection in tuple(self.connections):
            if connection.unread_s(now) > self._receive_timeout_s:
                connection.transport.abort()
            elif now - connection.since > self._patience_s[connection.awaits]:
                connection.give_up()

    def drain(self) -> None:
        """Every answer closes its connection from now on."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.last_call()
