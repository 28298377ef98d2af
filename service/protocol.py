"""Between the socket and the app: uvicorn's HTTP protocol with limits on time and size, and with a door.

uvicorn waits for ever for the rest of a request, takes megabytes of headers, and makes a task of every request before
anybody can refuse it. Here

- headers, and then the body, must arrive in time, and our answers must be read (`Door.sweep`);
- heads are bounded, and must be understood alike by everybody who reads them (`service.heads`);
- a prediction request is admitted, or refused with a few bytes, before anything is done about it: when it is whole, so
  that slow senders take nobody's place, or at once, if there is no room; the admitted begin in turn (`Turnstile`);
- what is wrong on this level is answered by a problem document like everything else, after the answers that are owed;
- a connection that is closed while its sender may still be sending lingers: closing at once would destroy the answer
  before it is read (RFC 9112 section 9.6).

Requests may be pipelined: `_current` is the one whose body is arriving, `_running` the one that the app works on,
`pipeline` those in between; `cycle` is the newest. `_held` is the body so far of one that is not decided about.
"""

import asyncio
from functools import partial
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.admission import PERMIT
from service.cycles import Flow, Outlet, Unread, cycle_of, scope_of
from service.door import Door
from service.errors import RequestError
from service.events import RequestRefused
from service.heads import MAX_HEAD_BYTES, declared_bytes, head_problem, is_large, too_large, without_upgrade
from service.problems import MALFORMED_HTTP, RECEIPT_TIMEOUT, Problem, problem_for
from service.receiving import WHOLE_BODY
from service.refusals import refusal
from service.request_ids import request_id_of

_MAX_PIPELINED: Final = 100
"""Requests that may wait for the answer to an earlier one; what comes after them is not read."""

_NO_ROUTE: Final = "other"
"""The label of what cannot be read as a request."""


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
        self._current: RequestResponseCycle | None = None
        self._running: RequestResponseCycle | None = None
        self._held: bytearray | None = None
        self._refused = False  # the request that is being received has had its answer already
        self._idle_bytes = 0  # received since the last piece of a body or end of a head
        self._last_word: Problem | None = None  # to be said after the answers that are owed
        self._deaf = False  # nothing that still arrives matters
        self._stopping = False  # there is no time to linger any more
        self._unread = Unread()
        self.awaits = "start"
        self.since = self._clock.monotonic()

    def __repr__(self) -> str:
        return f"<GuardedProtocol awaits {self.awaits}>"

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """See asyncio."""
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)
        self._outlet = Outlet(transport, self.close)
        self._door.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._door.connections.discard(self)
        self._let_go()
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
            self._running.scope["state"].pop(WHOLE_BODY, None)  # where it waits for its turn, there is nothing to do
        super().connection_lost(exc)
        # What refers to itself waits for the collector, for hours if it is old enough: 6 kB a connection.
        self.cycle = self._current = self._running = self._outlet = None  # type: ignore[assignment]
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._idle_bytes += len(data)
        while data and not self._deaf:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                data = self._ignore_upgrade(data[upgrade.args[0] :])
            except httptools.HttpParserError:
                self._fail(Problem(MALFORMED_HTTP, "the request cannot be parsed as HTTP/1.1"))
        if self._idle_bytes > MAX_HEAD_BYTES:
            self._fail(too_large(self.url if self.awaits == "head" else b""))

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

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or else a trailer field, which must not pass for one (RFC 9110 section 6.5.1)."""
        if self.awaits == "head":
            name = name.lower()
            if name == b"expect":
                self.expect_100_continue = value.lower() == b"100-continue"
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """All headers: refuse the request, or let it in."""
        if self._deaf:
            return
        method = self.parser.get_method()
        if self.parser.should_upgrade() and method != b"CONNECT":
            return  # the parser would skip the body
        self._idle_bytes = 0
        self.awaits = "body"
        version = self.parser.get_http_version()
        problem = head_problem(method, self.url, version, self.headers)
        if problem is not None:
            self._fail(problem)
        elif len(self.pipeline) == _MAX_PIPELINED:
            self.cycle.keep_alive = False
            self._deaf = True
        else:
            self._receive(method, version, httptools.parse_url(self.url))

    def _receive(self, method: bytes, version: str, url: Any) -> None:
        """Decides what becomes of a request: it waits for the answer before it, for its body, or for nothing."""
        predicts = method == b"POST" and url.path in self._door.routes
        if self._running is not None:
            self._new_cycle(method, version, url)
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        elif not predicts:
            self._running = self._new_cycle(method, version, url)
            self._start_asgi_task(self.cycle, self.app)
        elif not self._door.may_wait(declared_bytes(self.headers)):
            self._admit(method, version, url)
        else:
            if self.expect_100_continue and version != "1.0":  # which knows no 100 (RFC 9110 section 10.1.1)
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.expect_100_continue = False
            self._held, self._held_head = bytearray(), (method, version, url)

    def _admit(self, method: bytes, version: str, url: Any, *, whole: bool = False) -> None:
        try:
            permit = self._door.admission.admit(self.headers)
        except RequestError as error:
            self._refuse(problem_for(error), self._door.routes[url.path], whole=whole)
            return
        self._running = self._new_cycle(method, version, url)
        self.scope["state"][PERMIT] = permit
        self._door.turnstile.enter(partial(self._start_asgi_task, self.cycle, self.app))

    def _decide_early(self) -> None:
        """Lets the request in that was held, or refuses it, with as much of its body as has come."""
        body = self._let_go()
        self._admit(*self._held_head)
        if self._current is not None:
            self._current.body = body
            self._current.message_event.set()

    def _let_go(self) -> bytearray:
        """Holds no body any more."""
        held, self._held = self._held or bytearray(), None
        self._door.held_bytes -= len(held)
        return held

    def _new_cycle(self, method: bytes, version: str, url: Any) -> RequestResponseCycle:
        self.scope = scope_of(self, method, version, url)
        may_stay = version != "1.0" and self.parser.should_keep_alive() and not self._door.draining
        self.cycle = self._current = cycle_of(self, self._outlet, keep_alive=may_stay)
        return self.cycle

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._idle_bytes = 0
        if self._held is not None:
            if not self._door.hold(self._held, body):
                self._decide_early()
            return
        cycle = self._current
        if cycle is None or cycle.response_complete or self._deaf:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._deaf or self.awaits == "head":
            return
        if self._held is not None:
            body = self._let_go()
            self._admit(*self._held_head, whole=True)
            if self._deaf:
                return
            if self._current is not None:
                self._current.body = body
                self.scope["state"][WHOLE_BODY] = bytes(body)
        if self._current is not None:
            self._current.more_body = False
            self._current.message_event.set()
            self._current = None
        self._refused, self.headers = False, []  # nothing of it may show in what is said of the next one
        self._await("nothing" if self._running is None else "answer")

    def on_response_complete(self) -> None:
        """Our answer is written; the next request may begin."""
        self.server_state.total_requests += 1
        self._running = None
        if self.transport.is_closing() or self.awaits == "end":
            return
        if self.pipeline:
            self._running, app = self.pipeline.pop()
            self._door.turnstile.enter(partial(self._start_asgi_task, self._running, app))
        elif self._last_word is not None:
            self._say(self._last_word, _NO_ROUTE, closes=True)
        elif self.awaits == "answer":
            self._await("nothing")
        self.flow.resume_reading()

    def unread_s(self, now: float) -> float:
        """See `service.door.Guarded`."""
        return self._unread.waited_s(self.transport.get_write_buffer_size(), now)

    def give_up(self) -> None:
        """See `service.door.Guarded`."""
        if self.awaits in ("start", "nothing"):
            self.transport.close()
        elif self.flow.read_paused or (self.awaits == "end" and self.transport.get_write_buffer_size()):
            self.since = self._clock.monotonic()  # it was we who did not listen, or who have something to say yet
        elif self.awaits == "end" or self._refused:
            self.transport.abort()
        else:
            self._fail(Problem(RECEIPT_TIMEOUT, f"the {self.awaits} of the request did not arrive in time"))

    def last_call(self) -> None:
        """See `service.door.Guarded`."""
        if self._running is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """See uvicorn."""
        self._stopping = True
        if self._held is not None and is_large(self.headers):  # it may take a while to come, so it has begun
            self._decide_early()
        if self._running is None:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def close(self) -> None:
        """Ends the connection when what has been written is on its way."""
        if self.awaits in ("head", "body") or self._deaf:
            self._linger()
        else:
            self.transport.close()

    def _fail(self, problem: Problem) -> None:
        """Answers what the app will never see, when its turn comes, and ends the connection."""
        if self._deaf:
            return
        self._deaf = True
        self._let_go()
        current, running = self._current, self._running
        if self._refused or (current is not None and current.response_complete):
            self._linger()  # it has had its answer
        elif running is None:
            self._say(problem, _NO_ROUTE, closes=True)
        elif current is not running:
            if current is not None:
                self.pipeline.popleft()
            self._last_word = problem
        elif running.response_started:
            running.keep_alive = False
        else:
            running.disconnected = True  # the app waits for a body that will not come
            running.waiting_for_100_continue = False
            running.message_event.set()
            self._running = None
            self._say(problem, _NO_ROUTE, closes=True)

    def _refuse(self, problem: Problem, route: str, *, whole: bool) -> None:
        """Answers a prediction request in the app's place; the connection stays usable if its body is small or here."""
        self._refused = True
        stays = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        stays = stays and (whole or not (self.expect_100_continue or is_large(self.headers)))
        self._say(problem, route, closes=self._door.draining or not stays)

    def _say(self, problem: Problem, route: str, *, closes: bool) -> None:
        request_id = request_id_of(self.headers or ())
        self.transport.write(refusal(problem, request_id, self.server_state.default_headers, closes=closes))
        self._door.observer.observe(RequestRefused(route, problem.type.status))
        if self._door.access_log.wants_refused:
            self._write_line(problem, route, request_id)
        if closes:
            self._linger()

    def _write_line(self, problem: Problem, route: str, request_id: str) -> None:
        method = self.parser.get_method().decode("ascii") if self.awaits == "body" else ""  # not known any earlier
        state = {"request_id": request_id, "problem": problem.type.slug}
        scope = {"method": method, "headers": self.headers or (), "state": state}
        self._door.access_log.write(scope, route, problem.type.status, self._clock.monotonic() - self.since)

    def _linger(self) -> None:
        if self.awaits == "end":
            return
        self._deaf = True
        self._await("end")
        self.pipeline.clear()
        self.flow.resume_reading()
        if self._stopping:
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write_eof()

    def _await(self, what: str) -> None:
        self.awaits = what
        self.since = self._clock.monotonic()

    def _ignore_upgrade(self, rest: bytes) -> bytes:
        """There is nothing to upgrade to: what the request is without that (RFC 9110 section 7.8), and what follows."""
        head = without_upgrade(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)
        self.parser = httptools.HttpRequestParser(self)
        return head + rest


def guarded_by(door: Door) -> Any:
    """What uvicorn takes for the class of its HTTP protocol."""
    return partial(GuardedProtocol, door)
