"""What a request is inside uvicorn, where it differs from uvicorn's own."""

import asyncio
import urllib.parse
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

_ONE_PIECE_BYTES: Final = 64 * 1024
"""Head and body up to this size are joined for one write: the second system call costs more than the copy."""

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
    """An exchange that writes an answer which comes whole in one piece, as a prediction does; 5 us less than in two.

    The start of an answer is held back until its body comes. Whatever is unusual goes uvicorn's own way.
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
        head = b"".join([STATUS_LINE[start["status"]], *lines, b"\r\n"])
        if head.count(b"\n") != len(lines) + 2:
            raise RuntimeError("a header holds a line break")
        declared = next(int(value) for name, value in headers if name == b"content-length")
        if len(body) != declared:
            raise RuntimeError(f"a body of {len(body)} bytes was declared as one of {declared}")
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


class ExpectingCycle(RequestResponseCycle):
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
