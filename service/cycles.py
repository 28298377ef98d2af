"""What a request is inside uvicorn, where it differs from uvicorn's own."""

import asyncio
import urllib.parse
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from service.problems import NOT_READY, Problem
from service.request_ids import HEADER, request_id_of

_ONE_PIECE_BYTES: Final = 64 * 1024
"""Head and body up to this size are joined for one write: the second system call costs more than the copy."""

_PROGRESS_BYTES: Final = 256 * 1024
"""So much of an answer, or all of it, must be taken within the receive timeout; who takes less holds megabytes."""

_UVICORNS_OWN: Final = frozenset({b"connection", b"transfer-encoding"})
"""Headers whose meaning is left to uvicorn."""


class Outlet:
    """The transport as uvicorn's cycles see it; closing it is the protocol's business."""

    __slots__ = ("close", "get_extra_info", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.write = transport.write
        self.close = close


class Unread:
    """For how long an answer has waited for its reader."""

    __slots__ = ("_marked", "_since")

    def __init__(self) -> None:
        self._marked = 0
        self._since = 0.0

    def waited_s(self, size: int, now: float) -> float:
        """Seconds since a good piece of it was taken, or since there was nothing to take.

        Args:
            size: Bytes that still wait to be taken.
            now: The moment, on the monotonic clock.
        """
        if not size or size > self._marked or self._marked - size >= _PROGRESS_BYTES:
            self._marked, self._since = size, now
        return now - self._since


class Flow(FlowControl):
    """Reads nothing while requests wait for an earlier one: their number would have no bound."""

    def __init__(self, transport: asyncio.Transport, pipeline: Any) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """See uvicorn."""
        if not self._pipeline:
            super().resume_reading()


class Cycle(RequestResponseCycle):
    """An exchange with two habits of its own.

    An answer that comes whole, as a prediction does, is written in one piece, 5 us less than in two: its start is held
    back until its body comes. Whatever is unusual goes uvicorn's own way. And a request that is cancelled, as uvicorn
    does at the end of the time for finishing, is answered all the same.
    """

    _start: Any = None

    async def send(self, message: Any) -> None:
        """See ASGI."""
        start, self._start = self._start, None
        if start is None:
            if message["type"] == "http.response.start" and self._is_plain(message):
                self._start = message
            else:
                await super().send(message)
        elif message.get("more_body", False) or self.disconnected or self.flow.write_paused:
            await super().send(start)
            await super().send(message)
        else:
            self._write(start, message.get("body", b""))

    def _is_plain(self, start: Any) -> bool:
        names = [name for name, _ in start["headers"]]
        return (
            b"content-length" in names
            and _UVICORNS_OWN.isdisjoint(names)
            and not self.response_started
            and self.scope["method"] != "HEAD"
        )

    def _write(self, start: Any, body: bytes) -> None:
        headers = [*self.default_headers, *start["headers"]]
        lines = [b"%b: %b\r\n" % header for header in headers]
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        names, values = zip(*headers, strict=True)  # there is a Content-Length at least
        if HEADER_RE.search(b"".join(names)) or HEADER_VALUE_RE.search(b"".join(values)):
            raise RuntimeError("a header holds a character that no header may hold")
        head = b"".join([STATUS_LINE[start["status"]], *lines, b"\r\n"])
        declared = next(int(value) for name, value in headers if name == b"content-length")
        if len(body) != declared:
            raise RuntimeError(f"a body of {len(body)} bytes was declared as one of {declared}")
        self.waiting_for_100_continue = False
        self.response_started = self.response_complete = True
        self.message_event.set()
        if len(body) <= _ONE_PIECE_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    async def run_asgi(self, app: Any) -> None:
        """See uvicorn, which would answer 500 in bare text."""
        await super().run_asgi(partial(self._run, app))

    async def _run(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            if self.response_started:  # only closing the connection tells the client that it is not whole
                raise
            await self._say_stopping()

    async def _say_stopping(self) -> None:
        self._start = None
        problem = Problem(NOT_READY, "the service is stopping and has no more time for this request")
        request_id = self.scope["state"].get("request_id") or request_id_of(self.scope["headers"])
        body = problem.body(request_id)
        headers = {**problem.headers(), "content-length": str(len(body)), "connection": "close"}
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        fields.append((HEADER, request_id.encode()))
        await self.send({"type": "http.response.start", "status": NOT_READY.status, "headers": fields})
        await self.send({"type": "http.response.body", "body": body})


class ExpectingCycle(Cycle):
    """A request whose body comes when it is asked for; without that, what comes next is anybody's guess."""

    async def send(self, message: Any) -> None:
        """See ASGI."""
        if self.waiting_for_100_continue:
            self.keep_alive = False
        await super().send(message)


def scope_of(connection: HttpToolsProtocol, method: bytes, version: str, url: Any) -> Any:
    """The ASGI scope of the request whose headers `connection` has read."""
    raw_path: bytes = url.path or b"/"
    path = raw_path.decode("ascii")
    root_path = connection.root_path
    return {
        "type": "http",
        "asgi": {"version": connection.asgi_version, "spec_version": "2.3"},
        "http_version": version,
        "method": method.decode("ascii"),
        "scheme": connection.scheme,
        "server": connection.server,
        "client": connection.client,
        "root_path": root_path,
        "path": root_path + (urllib.parse.unquote(path) if "%" in path else path),
        "raw_path": root_path.encode("ascii") + raw_path,
        "query_string": url.query or b"",
        "headers": connection.headers,
        "state": connection.app_state.copy(),
    }


def cycle_of(connection: HttpToolsProtocol, outlet: Any, *, keep_alive: bool) -> RequestResponseCycle:
    """The exchange that begins with `connection.scope`."""
    # HTTP/1.0 knows no 100 (RFC 9110 section 10.1.1)
    expects = connection.expect_100_continue and connection.scope["http_version"] == "1.1"
    return (ExpectingCycle if expects else Cycle)(
        scope=connection.scope,
        transport=outlet,
        flow=connection.flow,
        logger=connection.logger,
        access_logger=connection.access_logger,
        access_log=False,
        default_headers=connection.server_state.default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=expects,
        keep_alive=keep_alive,
        on_response=connection.on_response_complete,
    )
