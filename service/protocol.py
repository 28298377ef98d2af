"""Between the socket and the app: uvicorn's HTTP protocol with limits on time and size, and with a door.

uvicorn waits for ever for the rest of a request, takes megabytes of headers, and makes a task of every request before
anybody can refuse it. Here

- headers, and then the body, must arrive in time (`Door.sweep`);
- headers are bounded in number and size, and HTTP/1.1 must name its host (RFC 9112 section 3.2);
- a prediction request is admitted, or refused with a few bytes, as soon as its headers are read; the admitted begin in
  turn (`Turnstile`);
- what is wrong on this level is answered by a problem document like everything else;
- a connection that is closed while its sender may still be sending lingers: closing at once would reset it and destroy
  the answer before it is read (RFC 9112 section 9.6).
"""

import asyncio
import urllib.parse
from functools import partial
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.admission import LARGE_BYTES, PERMIT
from service.door import Door
from service.errors import RequestError
from service.events import RequestEnded
from service.problems import (
    HEADERS_TOO_LARGE,
    MALFORMED_HTTP,
    RECEIPT_TIMEOUT,
    URL_TOO_LONG,
    Problem,
    problem_for,
)
from service.request_ids import HEADER, request_id_of

_MAX_HEAD_BYTES: Final = 32 * 1024
"""Request line and headers; half of what Google's load balancers pass on, 100 times what curl sends."""
_MAX_HEADERS: Final = 100
"""Apache's default."""
_MAX_URL_BYTES: Final = 8 * 1024
"""RFC 9112 section 3 asks for at least 8,000."""


class _Outlet:
    """The transport as uvicorn's cycles see it; closing it is the protocol's business."""

    __slots__ = ("_end", "get_extra_info", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, end: "GuardedProtocol") -> None:
        self._end = end
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.write = transport.write

    def close(self) -> None:
        """Ends the connection after what has been written."""
        self._end.close()


class GuardedProtocol(HttpToolsProtocol):
    """One connection; see `service.door.Guarded` for its attributes."""

    def __init__(
        self,
        door: Door,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._door = door
        self._clock = door.clock
        self._outlet: Any = None
        self._head_bytes = 0
        self._refused = False  # the request that is being received has had its answer already
        self._deaf = False  # nothing that still arrives matters
        self.awaits = "head"
        self.since = self._clock.monotonic()

    def __repr__(self) -> str:
        return f"<GuardedProtocol awaits {self.awaits}>"

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """See asyncio."""
        super().connection_made(transport)
        self._outlet = _Outlet(transport, self)
        self._door.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._door.connections.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._deaf:
            return
        if self.awaits in ("head", "nothing"):
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # there is nothing to upgrade to; the request is answered as the HTTP that it also is
        except httptools.HttpParserError:
            self._fail(Problem(MALFORMED_HTTP, "the request cannot be parsed as HTTP/1.1"))
        if self.awaits == "head" and self._head_bytes > _MAX_HEAD_BYTES and not self._deaf:
            self._fail(_too_large(len(self.url)))

    # What the parser calls, in this order.

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._deaf:
            return
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._refused = False
        self.awaits = "head"
        self.since = self._clock.monotonic()

    def on_headers_complete(self) -> None:
        """All headers: refuse the request, or let it in."""
        if self._deaf:
            return
        self._head_bytes = 0
        self.awaits = "body"
        version = self.parser.get_http_version()
        problem = self._head_problem(version)
        if problem is not None:
            self._fail(problem)
            return
        url = httptools.parse_url(self.url)
        method = self.parser.get_method()
        state = self.app_state.copy()
        waits_for_another = self.cycle is not None and not self.cycle.response_complete
        if method == b"POST" and url.path in self._door.routes and not waits_for_another:
            try:
                state[PERMIT] = self._door.admission.admit(self.headers)
            except RequestError as error:
                self._refuse(problem_for(error), self._door.routes[url.path])
                return
        self.scope = self._scope(method.decode("ascii"), version, url, state)
        self._begin(self._cycle(version), waits_for_another=waits_for_another, admitted=PERMIT in state)

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        if not (self._refused or self._deaf):
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._deaf:
            return
        if self._refused or self.cycle.response_complete:
            self._await_nothing()
        else:
            self.awaits = "answer"
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Our answer is written; the next request may begin."""
        self.server_state.total_requests += 1
        if self.transport.is_closing() or self._deaf:
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif not self.cycle.more_body:
            self._await_nothing()

    # The ends of a connection.

    def give_up(self) -> None:
        """See `service.door.Guarded`."""
        answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if self.awaits == "head" and not self._head_bytes:
            self.transport.close()  # it never began to speak
        elif self.awaits in ("nothing", "end") or self._refused or answering:
            self.transport.abort()
        else:
            self._fail(Problem(RECEIPT_TIMEOUT, f"the {self.awaits} of the request did not arrive in time"))

    def close(self) -> None:
        """Ends the connection when what has been written is on its way."""
        if self.awaits == "body" and not self.transport.is_closing():
            self._linger()
        else:
            self.transport.close()

    def _fail(self, problem: Problem) -> None:
        """Answers what the app will never see, and ends the connection."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started or self.awaits != "body":
                # An answer to an earlier request is under way; it shall be the last one.
                cycle.keep_alive = False
                self._deaf = True
                return
            cycle.disconnected = True  # the app waits for a body that will not come
            cycle.message_event.set()
        self._write(problem)
        self._linger()

    def _refuse(self, problem: Problem, route: str) -> None:
        """Answers a prediction request in the app's place; the connection stays usable if its body is small."""
        self._refused = True
        self._write(problem)
        self._door.observer.observe(RequestEnded(route, problem.type.status, 0.0))
        if self._door.draining or _is_large(self.headers):
            self._linger()

    def _linger(self) -> None:
        self._deaf = True
        self.awaits = "end"
        self.since = self._clock.monotonic()
        if not self.transport.is_closing():
            self.transport.write_eof()

    def _await_nothing(self) -> None:
        self.awaits = "nothing"
        self.since = self._clock.monotonic()

    def _write(self, problem: Problem) -> None:
        request_id = request_id_of(self.headers or ())
        body = problem.body(request_id)
        closes = problem.type.close or self._door.draining or (self._refused and _is_large(self.headers))
        fields = [
            *self.server_state.default_headers,
            *((name.encode(), value.encode()) for name, value in problem.headers().items() if name != "connection"),
            (HEADER, request_id.encode()),
            (b"content-length", b"%d" % len(body)),
            *([(b"connection", b"close")] if closes else ()),
        ]
        lines = b"".join(b"%b: %b\r\n" % field for field in fields)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[problem.type.status], lines, body))

    # The parts of a request's beginning.

    def _head_problem(self, version: str) -> Problem | None:
        headers = self.headers
        size = len(self.url) + sum(len(name) + len(value) for name, value in headers)
        if size > _MAX_HEAD_BYTES or len(headers) > _MAX_HEADERS or len(self.url) > _MAX_URL_BYTES:
            return _too_large(len(self.url))
        if version == "1.1" and not any(name == b"host" for name, _ in headers):
            return Problem(MALFORMED_HTTP, "an HTTP/1.1 request must have a Host header")
        return None

    def _scope(self, method: str, version: str, url: Any, state: dict[str, Any]) -> Any:
        path = url.path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "method": method,
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "root_path": self.root_path,
            "path": self.root_path + (urllib.parse.unquote(path) if "%" in path else path),
            "raw_path": self.root_path.encode("ascii") + url.path,
            "query_string": url.query or b"",
            "headers": self.headers,
            "state": state,
        }

    def _cycle(self, version: str) -> RequestResponseCycle:
        return RequestResponseCycle(
            scope=self.scope,
            transport=self._outlet,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive() and not self._door.draining,
            on_response=self.on_response_complete,
        )

    def _begin(self, cycle: RequestResponseCycle, *, waits_for_another: bool, admitted: bool) -> None:
        self.cycle = cycle
        if waits_for_another:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        elif admitted:
            self._door.turnstile.enter(partial(self._start_asgi_task, cycle, self.app))
        else:
            self._start_asgi_task(cycle, self.app)


def guarded_by(door: Door) -> Any:
    """What uvicorn takes for the class of its HTTP protocol."""
    return partial(GuardedProtocol, door)


def _too_large(url_bytes: int) -> Problem:
    if url_bytes > _MAX_URL_BYTES:
        return Problem(URL_TOO_LONG, f"a URL may have at most {_MAX_URL_BYTES} bytes")
    return Problem(
        HEADERS_TOO_LARGE, f"a request may have at most {_MAX_HEADERS} headers and {_MAX_HEAD_BYTES} bytes of them"
    )


def _is_large(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether more of the body is to come than is worth reading for the connection's sake."""
    length = next((value for name, value in headers if name == b"content-length"), None)
    return length is None or int(length) > LARGE_BYTES
