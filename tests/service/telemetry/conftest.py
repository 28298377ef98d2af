"""A tally after a little of everything."""

import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import Any

import numpy as np
import pytest

from features.events import CacheLookedUp, Event, ReadAttempted, ReadRefused, StoreRead
from service.events import (
    InstancesAssembled,
    RequestEnded,
    RequestRefused,
    RequestShed,
    RowsAged,
    RowsScored,
    Stage,
    StageEnded,
    ValuesSubstituted,
)
from service.telemetry.catalogue import Sources
from service.telemetry.drops import Drops
from service.telemetry.tally import Tally

EVENTS: list[Event] = [
    RequestEnded("/predict", 200, 0.003),
    RequestRefused("/predict", 503),
    RequestEnded("other", 404, 11.0),
    *(RequestEnded(route, 200, 0.0002) for route in ("/livez", "/readyz", "/metrics", "/metadata", "/docs")),
    StageEnded(Stage.PARSE, 0.0004),
    CacheLookedUp("account", fresh=3, stale=1, miss=2),
    CacheLookedUp("account", coalesced=1, negative=1),
    StoreRead("account", 3, 0.02, "ok"),
    StoreRead("account", 1, 0.02, "timeout"),
    StoreRead("account", 1, 0.01, "cancelled"),
    ReadAttempted("account", 3, 0.01, "unavailable", "first"),
    ReadAttempted("account", 3, 0.01, "ok", "retry"),
    ReadAttempted("account", 3, 0.01, "ok", "hedge"),
    ReadRefused("account", "throttle"),
    InstancesAssembled(3, {("account", "NOT_FOUND"): 2, ("account", "ERROR"): 1}),
    RowsAged("account", (30.0, 7_200.0)),
    RowsScored(3, np.array([0.05, 0.5, 0.99])),
    ValuesSubstituted(degraded=2, defaulted=1),
    RequestShed("large", "deadline"),
]


@pytest.fixture
def sources() -> Sources:
    """What `EVENTS` and a few live numbers give: 4 of 256 requests in flight, 12 rows in cache."""
    tally, drops = Tally(), Drops()
    for event in EVENTS:
        tally.observe(event)
    tally.loop_lag_s.add(0.004)
    drops.add("traces", 5)
    return Sources(
        tally, drops, lambda: {"account": 12}, lambda: {"interactive": (4, 256), "large": (1, 2)}, {"account": 6}
    )


@pytest.fixture
def nothing_yet() -> Sources:
    """What there is before the first event."""
    return Sources(Tally(), Drops(), dict, dict, {})


class Collector:
    """A collector on a real socket: `posts` holds path, headers and body of what it was sent; answers with `status`."""

    def __init__(self) -> None:
        self.posts: Queue[tuple[str, dict[str, str], bytes]] = Queue()
        self.status = 200
        outer = self

        class Taker(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.posts.put((self.path, {name.lower(): text for name, text in self.headers.items()}, body))
                self.send_response(outer.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Not on the test's output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.close()


@pytest.fixture
def unset_otel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`unset_otel(OTEL_SERVICE_NAME="x")`: these and no other variables of OpenTelemetry are set."""

    def set_only(**variables: str) -> None:
        for name in [name for name in os.environ if name.startswith("OTEL_")]:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    set_only()
    return set_only
