"""A keep-alive HTTP/1.1 connection with one request under way at a time, as lean as Python allows.

It reads what the load tests need of an answer (status, length, whether the connection goes on) and keeps the rest as
bytes. Answers must carry Content-Length: the service's do. What does not parse is a failure, never skipped.
"""

import asyncio
from typing import Final, Protocol, cast

# Where an HTTP status belongs, what became of a request that got no answer. Below zero: no status is.
PENDING: Final = 0
"""No answer when the run ended."""
RESET: Final = -1
"""The connection ended before the answer did."""
TIMEOUT: Final = -2
"""No whole answer within the client's patience."""
MALFORMED: Final = -3
"""Bytes came that are no HTTP/1.1 answer with a Content-Length."""
UNREACHABLE: Final = -4
"""No connection could be opened."""
NOT_SENT: Final = -5
"""Every allowed connection was busy when the request was due."""

FAILURE_NAMES: Final = {
    PENDING: "pending",
    RESET: "reset",
    TIMEOUT: "timeout",
    MALFORMED: "malformed",
    UNREACHABLE: "unreachable",
    NOT_SENT: "not sent",
}

IDLE: Final = -1
"""In place of a request's number: none is under way."""

_LENGTH: Final = b"\r\ncontent-length:"
_CLOSE: Final = b"\r\nconnection: close"
_HEAD_END: Final = b"\r\n\r\n"


class Owner(Protocol):
    """Who hears what became of a connection's requests."""

    def answered(self, connection: "Connection", index: int, head: bytes, body: bytes) -> None:
        """Request `index` was answered; the connection is free unless it is closed."""

    def failed(self, connection: "Connection", index: int, failure: int) -> None:
        """Request `index` will get no answer, and the connection is closed."""


class Connection(asyncio.Protocol):
    """One connection.

    Attributes:
        index: Number of the request under way, or `IDLE`.
        request: The bytes that were sent last.
        closed: No further request can be sent.
        used_at: When it last became free, by the owner's clock.
    """

    __slots__ = ("_missing", "_owner", "_parts", "_transport", "closed", "index", "request", "used_at")

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._missing = 0
        self.index = IDLE
        self.request = b""
        self.closed = False
        self.used_at = 0.0

    def send(self, index: int, request: bytes) -> None:
        """Send a request; the connection must be free."""
        self.index = index
        self.request = request
        if self._transport is not None:
            self._transport.write(request)

    def close(self, failure: int | None = None) -> None:
        """Close at once; a request under way ends as `failure`."""
        self.closed = True
        index, self.index = self.index, IDLE
        if self._transport is not None:
            self._transport.abort()
        if failure is not None and index != IDLE:
            self._owner.failed(self, index, failure)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, as asyncio asks."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes; tell the owner when they make a whole answer."""
        if self._parts:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._parts)
            self._parts.clear()
        end = data.find(_HEAD_END)
        if end < 0:
            self._wait_for(1, data)
            return
        head = data[: end + 2].lower()
        total = end + 4 + _length(head)
        if len(data) < total:
            self._wait_for(total - len(data), data)
            return
        index = self.index
        if index == IDLE or len(data) > total or total < end + 4:
            self.close(MALFORMED)
            return
        self.index = IDLE
        if _CLOSE in head:
            self.close()
        self._owner.answered(self, index, data[:end], data[end + 4 :])

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # why does not matter: no answer will come
        """The peer closed: what was under way failed."""
        self.close(RESET)

    def _wait_for(self, missing: int, data: bytes) -> None:
        self._missing = missing
        self._parts.append(data)


def _length(head: bytes) -> int:
    """Length of the body by its lower-cased head; -1 if there is no telling."""
    at = head.find(_LENGTH)
    digits = head[at + len(_LENGTH) : head.find(b"\r", at + 2)].strip()
    return int(digits) if at >= 0 and digits.isdigit() and head.startswith(b"http/1.1 ") else -1


def status_of(head: bytes) -> int:
    """Status of an answer, by its head; `MALFORMED` if there is none."""
    try:
        return int(head[9:12])
    except ValueError:
        return MALFORMED


def headers_of(head: bytes) -> dict[str, str]:
    """Headers of an answer by lower-case name; of several with one name the last."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
