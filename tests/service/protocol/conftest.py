"""A server on a real socket over a small app, with a clock that stands still: nothing times out but by `sweep`."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from math import inf
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from features.clock import ManualClock
from features.events import Event
from service.access import AccessLog
from service.admission import Admission, admitted
from service.door import Door
from service.errors import BodyTooLarge, Shed
from service.limits import FixedLimit
from service.middleware import Outermost
from service.problems import Problem, problem_for
from service.server import Server
from service.turnstile import Turnstile
from service.watching import Watching

RECEIVE_TIMEOUT_S = 5.0
KEEP_ALIVE_S = 600.0
_NOT_YET = 3  # what finding nothing and adding four makes


def outermost(app: Any, clock: Any, events: Any) -> Outermost:
    """The app's usual outermost layer, which watches and logs nothing."""
    nobody = Watching(events, None, stage_sampling=1_000_000, trace_ratio=0.0)
    return Outermost(app, clock, events, watching=nobody, access_log=AccessLog("off"))


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"

    @property
    def problem(self) -> str:
        """The end of its problem type, when it is a problem document in every respect."""
        document = json.loads(self.body)
        assert self.headers["content-type"] == "application/problem+json"
        assert document["status"] == self.status >= 400
        assert document["request_id"] == self.headers["x-request-id"]
        assert document["title"]
        assert document["detail"]
        return str(document["type"]).removeprefix("urn:keyscore:problem:")


class Caller(asyncio.Protocol):
    """One connection, byte by byte."""

    def __init__(self) -> None:
        self._got = b""
        self._news = asyncio.Event()
        self._over: Exception | bool = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        self._news.set()

    def eof_received(self) -> bool:
        self._over = True
        self._news.set()
        return True  # it is for the test to hang up

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = self._over or exc or True
        self._news.set()

    async def send(self, *pieces: bytes) -> None:
        """Sends pieces in segments of their own: the server reads one before the next is sent."""
        for piece in pieces:
            self.transport.write(piece)
            for _ in range(3):
                await asyncio.sleep(0)

    async def answer(self, *, bodiless: bool = False) -> Answer:
        head = (await self._until(lambda got: got.find(b"\r\n\r\n") + 4)).decode("latin-1")
        line, *lines = head[:-4].split("\r\n")
        headers = dict(one.lower().split(": ", 1) for one in lines)
        size = 0 if bodiless else int(headers.get("content-length", 0))
        body = await self._until(lambda got: size if len(got) >= size else _NOT_YET) if size else b""
        return Answer(int(line.split(" ")[1]), headers, body)

    async def rest(self) -> bytes:
        """All that still comes until the server hangs up in an orderly way; a reset is an error."""
        while not self._over:
            self._news.clear()
            await self._news.wait()
        if isinstance(self._over, Exception):
            raise self._over
        return self._got

    def reset(self) -> None:
        """Hangs up the hard way."""
        raw: socket.socket = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def _until(self, found: Callable[[bytes], int]) -> bytes:
        while (end := found(self._got)) == _NOT_YET:
            assert not self._over, f"hung up after {self._got!r}"
            self._news.clear()
            await self._news.wait()
        taken, self._got = self._got[:end], self._got[end:]
        return taken


@dataclass
class Site:
    """What runs: `site.door`, its clock and its app's levers."""

    clock: ManualClock
    door: Door
    server: Server
    port: int
    callers: AsyncExitStack
    gate: asyncio.Event
    seen: list[Scope]
    bodies: list[bytes]
    events: list[Event]

    @property
    def admission(self) -> Admission:
        return self.door.admission

    async def caller(self, *pieces: bytes) -> Caller:
        loop, before = asyncio.get_running_loop(), len(self.door.connections)
        _, caller = await loop.create_connection(Caller, "127.0.0.1", self.port)
        self.callers.callback(caller.transport.abort)
        await self.until(lambda: len(self.door.connections) > before)
        await caller.send(*pieces)
        return caller

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(20_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came to that")

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.door.sweep()


@dataclass
class App:
    """Answers by path; predictions are admitted and read as the real ones are."""

    admission: Admission
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[Scope] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        path = scope["path"]
        status, said = 200, f"{scope['method']} {path}".encode()
        if path == "/predict" and scope["method"] == "POST":
            try:
                admitted(scope, self.admission).begin()
            except Shed as shed:
                await _problem(scope, send, problem_for(shed))
                return
        if path == "/raise":
            raise RuntimeError("a mistake")
        if path == "/limited":
            await _read(receive, 1000)
            await _problem(scope, send, problem_for(BodyTooLarge("too large")))
            return
        if path == "/early":  # answers without a look at the body
            status = 404
        else:
            body = await _read(receive)
            if body is None:
                return
            self.bodies.append(body)
        if path in ("/predict", "/wait") and b"x-wait" in dict(scope["headers"]):
            await self.gate.wait()
        if path == "/big":
            said = b"b" * 20_000_000
        headers = [(b"content-length", b"%d" % len(said)), *_MORE_HEADERS.get(path, ())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if path in ("/begun", "/promised"):
            await _hang(send, said[: path == "/begun"])
        await send({"type": "http.response.body", "body": said})


_MORE_HEADERS = {
    "/forged": [(b"x-said", b"a\r\nx-forged: b")],
    "/returned": [(b"x-said", b"a\rx-forged: b")],
    "/nul": [(b"x-said", b"a\0b")],
    "/named": [(b"x said", b"a")],
}


async def _hang(send: Send, begun: bytes) -> None:
    """Says so much of the answer, if anything, and nothing more."""
    if begun:
        await send({"type": "http.response.body", "body": begun, "more_body": True})
    await asyncio.Event().wait()


async def _read(receive: Receive, most: float = inf) -> bytes | None:
    body = b""
    while len(body) <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            break
    return body


async def _problem(scope: Scope, send: Send, problem: Problem) -> None:
    body = problem.body(scope["state"]["request_id"])
    headers = {**problem.headers(), "content-length": str(len(body))}
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.type.status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


class Events(list[Event]):
    def observe(self, event: Event, /) -> None:
        self.append(event)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}  # as in production


@pytest.fixture
async def build(clock: ManualClock) -> AsyncIterator[Callable[[], Awaitable[Site]]]:
    """`await build(max_in_flight=…)`: a site whose server has not started."""
    async with AsyncExitStack() as stack:

        async def make(max_in_flight: int = 64, **of_the_door: Any) -> Site:
            events = Events()
            admission = Admission(
                FixedLimit(max_in_flight),
                FixedLimit(max_in_flight),
                deadline_s=1.0,
                max_deadline_s=10.0,
                clock=clock,
                observer=events,
            )
            door = Door(
                admission,
                clock,
                events,
                Turnstile(asyncio.get_running_loop(), clock),
                paths=["/predict"],
                receive_timeout_s=RECEIVE_TIMEOUT_S,
                keep_alive_s=KEEP_ALIVE_S,
                **of_the_door,
            )
            app = App(admission)

            async def started() -> None:
                pass

            server = Server(outermost(app, clock, events), door, started)
            callers = await stack.enter_async_context(AsyncExitStack())
            return Site(clock, door, server, 0, callers, app.gate, app.seen, app.bodies, events)

        yield make


@pytest.fixture
async def start(build: Callable[..., Awaitable[Site]]) -> AsyncIterator[Callable[..., Awaitable[Site]]]:
    """`await start(max_in_flight=…)`: a site that answers; nothing ticks."""
    async with AsyncExitStack() as stack:

        async def begin(**chosen: Any) -> Site:
            site = await build(**chosen)
            listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
            site.port = listening.getsockname()[1]
            site.server.config.load()
            site.server.lifespan = site.server.config.lifespan_class(site.server.config)
            await site.server.startup([listening])
            await site.server.on_tick(0)
            stack.push_async_callback(_end, site)
            return site

        yield begin


async def _end(site: Site) -> None:
    await site.callers.aclose()
    for server in site.server.servers:
        server.close()
    site.gate.set()
    for connection in list(site.server.server_state.connections):
        connection.transport.abort()
    await site.until(lambda: not site.server.server_state.connections and not site.server.server_state.tasks)


@pytest.fixture
async def site(start: Callable[..., Awaitable[Site]]) -> Site:
    """A site that has room for everybody."""
    return await start()
