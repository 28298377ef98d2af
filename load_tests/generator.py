"""The open-loop generator: requests leave when they are due, whatever became of those before.

One pump sends all arrivals that are due; there is no task per request. Latency counts from when a request was due, so a
service that stalls is charged for everybody who would have waited (Gil Tene calls the other way coordinated omission).

    arrivals -> pump -> free connection, or a new one -> record
                           ^------------ answered -------'
"""

import asyncio
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from load_tests import client
from load_tests.arrivals import Times, poisson
from load_tests.client import Connection
from load_tests.cpu import CpuWatch
from load_tests.outcome import Outcome, WrongAnswer
from load_tests.quiet import undisturbed
from load_tests.stories import Span

Address = tuple[str, int]
"""Host and port."""

Make = Callable[[int], bytes]
"""The request of the arrival with a number; asked for once, when it is due."""

Check = Callable[[bytes, int, dict[str, str], bytes, Span], str | None]
"""What is wrong with an answer; None if nothing is. Gets request, status, headers (lower-case names), body, and when it
was sent and answered."""

Clock = Callable[[], float]
"""Seconds from any beginning, never going back."""

Answer = tuple[int, bytes, bytes, bytes]
"""Number of the arrival, request, head and body; a plain tuple, since one is made per request."""

TICK_S: Final = 0.001
"""The pump wakes no more often than this: uvloop's timers are milliseconds, and waking more often would spin."""

IDLE_LIMIT_S: Final = 4.0
"""A connection unused for longer is closed and replaced, as pools do (httpx after 5 s); servers close idle ones
after 5 s or more."""

SWEEP_S: Final = 0.05
"""How often requests without an answer are looked for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far the generator goes.

    Attributes:
        connections: Most connections at once; arrivals beyond are not sent, and the run can only fail.
        patience_s: Seconds after which a request without a whole answer is given up and its connection closed.
    """

    connections: int = 2000
    patience_s: float = 5.0


class Generator:
    """One run, to be started once.

    Args:
        address: Where the service listens.
        times: When requests are due, in seconds after the start.
        make: The request of each arrival.
        limits: How far to go.
        clock: Where time comes from; the monotonic clock unless a test brings its own.
        keep: Whether answers are kept, to be checked afterwards; of each `keep`-th arrival, none if 0.
    """

    def __init__(
        self,
        address: Address,
        times: Times,
        make: Make,
        *,
        limits: Limits | None = None,
        clock: Clock = time.monotonic,
        keep: int = 0,
    ) -> None:
        self._address = address
        self._times: list[float] = times.tolist()
        self._make = make
        self._limits = limits or Limits()
        self._clock = clock
        self._keep = keep
        self._start = 0.0
        self._next = 0
        self._left = len(self._times)
        self._free: list[Connection] = []
        self._open: set[Connection] = set()
        self._under_way: deque[tuple[float, int, Connection]] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._finished = asyncio.Event()
        self.lag = array("d", bytes(8 * self._left))
        self.latency = array("d", [float("nan")]) * self._left
        self.status = array("h", bytes(2 * self._left))
        self.answers: list[Answer] = []

    async def run(self) -> None:
        """Send everything, then wait until each request is answered or given up."""
        loop = asyncio.get_running_loop()
        self._start = self._clock()
        if self._left:
            self._pump(loop)
            self._sweep(loop)
            await self._finished.wait()
        for connection in list(self._open):
            connection.close()
        for task in self._opening:
            task.cancel()

    def wrong_answers(self, check: Check) -> Iterator[WrongAnswer]:
        """The kept answers that a check does not accept."""
        for index, request, head, body in self.answers:
            due = self._start + self._times[index]
            span = Span(due + self.lag[index], due + self.latency[index])
            reason = check(request, client.status_of(head), client.headers_of(head), body, span)
            if reason is not None:
                yield WrongAnswer(index, reason)

    def answered(self, connection: Connection, index: int, head: bytes, body: bytes) -> None:
        """Record an answer; the connection is free for the next arrival."""
        now = self._clock()
        self.latency[index] = now - self._start - self._times[index]
        self.status[index] = client.status_of(head)
        if self._keep and index % self._keep == 0:
            self.answers.append((index, connection.request, head, body))
        if connection.closed:
            self._open.discard(connection)
        else:
            connection.used_at = now
            self._free.append(connection)
        self._count_down()

    def failed(self, connection: Connection | None, index: int, failure: int) -> None:
        """Record that a request got no answer."""
        self.status[index] = failure
        if connection is not None:
            self._open.discard(connection)
        self._count_down()

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send what is due, then sleep until the next arrival is."""
        times, count = self._times, len(self._times)
        while self._next < count:
            elapsed = self._clock() - self._start
            wait = times[self._next] - elapsed
            if wait > 0:
                loop.call_later(max(wait, TICK_S), self._pump, loop)
                return
            self.lag[self._next] = -wait
            self._next += 1
            self._send(self._next - 1)

    def _send(self, index: int) -> None:
        request = self._make(index)
        free = self._free
        now = self._clock()
        while free:
            connection = free.pop()
            if connection.closed:
                self._open.discard(connection)
            elif now - connection.used_at > IDLE_LIMIT_S:
                connection.close()
                self._open.discard(connection)
            else:
                self._under_way.append((now, index, connection))
                connection.send(index, request)
                return
        if len(self._open) >= self._limits.connections:
            self.failed(None, index, client.NOT_SENT)
            return
        connection = Connection(self)
        self._open.add(connection)
        self._under_way.append((now, index, connection))
        connection.index = index
        task = asyncio.get_running_loop().create_task(self._connect(connection, index, request))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, connection: Connection, index: int, request: bytes) -> None:
        host, port = self._address
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, host, port)
        except OSError:
            connection.close(client.UNREACHABLE)
            return
        if connection.index == index:
            connection.send(index, request)
        else:  # given up meanwhile
            connection.close()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up what has waited too long."""
        waiting, latest = self._under_way, self._clock() - self._limits.patience_s
        while waiting:
            sent_at, index, connection = waiting[0]
            if connection.index == index:
                if sent_at > latest:
                    break
                connection.close(client.TIMEOUT)
            waiting.popleft()
        if self._left:
            loop.call_later(SWEEP_S, self._sweep, loop)

    def _count_down(self) -> None:
        self._left -= 1
        if not self._left:
            self._finished.set()


async def run_load(
    address: Address,
    make: Make,
    *,
    rate: float = 0.0,
    seconds: float = 0.0,
    seed: int = 1,
    times: Times | None = None,
    check: Check | None = None,
    check_every: int = 1,
    deadline_s: float = 1.0,
    limits: Limits | None = None,
    pids: Sequence[int] = (),
) -> Outcome:
    """Offer a load and record what comes of it.

    Args:
        address: Where the service listens.
        make: The request of each arrival.
        rate: Arrivals per second, unless `times` are given.
        seconds: Length of the run.
        seed: Seed of the arrivals.
        times: When requests are due, where a steady rate will not do.
        check: Says what is wrong with an answer; runs after the load, so it may be slow.
        check_every: Check the answer of one arrival in this many.
        deadline_s: Later answers count as no good.
        limits: How far the generator goes.
        pids: The service's processes, whose CPU time is to be counted.
    """
    due = poisson(rate, seconds, seed) if times is None else times
    keep = check_every if check is not None else 0
    generator = Generator(address, due, make, limits=limits, keep=keep)
    watch = CpuWatch(pids)
    with undisturbed(), watch.watching():
        await generator.run()
    return Outcome(
        seconds=seconds or (float(due[-1]) if due.size else 0.0),
        deadline_s=deadline_s,
        intended=due,
        lag=np.array(generator.lag),
        latency=np.array(generator.latency),
        status=np.array(generator.status),
        wrong=tuple(generator.wrong_answers(check)) if check is not None else (),
        checked=len(generator.answers),
        cpu=tuple(watch.used),
    )
