"""A closed loop: so many callers, each asking again as soon as it is answered.

For throughput, for filling a cache, and for the time of a request that has the service to itself; never for latency
under load, which it flatters.
"""

import asyncio
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from load_tests.client import Connection, status_of
from load_tests.generator import Address
from load_tests.outcome import quantile

Kept = tuple[bytes, bytes, bytes]
"""Request, head and body of an answer."""


@dataclass(slots=True)
class Asked:
    """What became of the requests.

    Attributes:
        statuses: Answers by status; failures below zero.
        seconds: From the first request to the last answer.
        times: Seconds from each request to its answer, in the order of the answers.
        kept: Some answers, to be looked at.
    """

    statuses: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    times: "array[float]" = field(default_factory=lambda: array("d"))
    kept: list[Kept] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """Answers of 200."""
        return self.statuses.get(200, 0)

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.statuses.values())

    @property
    def rate(self) -> float:
        """Answers of 200 per second."""
        return self.answered / self.seconds

    def p(self, at: float) -> float:
        """A quantile of the times, in seconds; NaN if there was no answer."""
        return quantile(np.array(self.times), at)


class _Callers:
    """The callers' connections, each asking the next request when it is free."""

    def __init__(self, requests: Iterator[bytes], keep_every: int) -> None:
        self.asked = Asked()
        self._requests = requests
        self._keep_every = keep_every
        self._waiting = 0
        self._done = asyncio.Event()

    async def run(self, address: Address, callers: int) -> None:
        loop = asyncio.get_running_loop()
        connections = [Connection(self) for _ in range(callers)]
        for connection in connections:
            await loop.create_connection(lambda made=connection: made, *address)  # type: ignore[misc]  # mypy cannot infer it
        began = time.perf_counter()
        for connection in connections:
            self._next(connection)
        if self._waiting:
            await self._done.wait()
        self.asked.seconds = time.perf_counter() - began
        for connection in connections:
            connection.close()

    def answered(self, connection: Connection, index: int, head: bytes, body: bytes) -> None:  # noqa: ARG002  # the client's protocol
        times = self.asked.times
        times.append(time.perf_counter() - connection.used_at)
        if self._keep_every and (len(times) - 1) % self._keep_every == 0:
            self.asked.kept.append((connection.request, head, body))
        self._count(status_of(head))
        if not connection.closed:
            self._next(connection)
        self._check_done()

    def failed(self, connection: Connection, index: int, failure: int) -> None:  # noqa: ARG002  # the client's protocol
        self._count(failure)
        self._check_done()

    def _next(self, connection: Connection) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._waiting += 1
            connection.used_at = time.perf_counter()
            connection.send(0, request)

    def _count(self, status: int) -> None:
        self._waiting -= 1
        self.asked.statuses[status] = self.asked.statuses.get(status, 0) + 1

    def _check_done(self) -> None:
        if not self._waiting:
            self._done.set()


async def ask_all(address: Address, requests: Iterator[bytes], callers: int, *, keep_every: int = 0) -> Asked:
    """Every request is asked once, by so many callers at a time.

    Args:
        address: Of the service.
        requests: What to ask.
        callers: How many connections; one that is closed asks no more.
        keep_every: Keep the first answer and then one in this many; none if 0.
    """
    asking = _Callers(requests, keep_every)
    await asking.run(address, callers)
    return asking.asked


def for_a_while(requests: Sequence[bytes], seconds: float) -> Iterator[bytes]:
    """The requests, over and over, until so many seconds after the first one was taken."""
    end = time.perf_counter() + seconds
    while True:
        for request in requests:
            if time.perf_counter() >= end:
                return
            yield request


async def throughput(address: Address, make: Callable[[int], bytes], callers: int, seconds: float) -> float:
    """Answers of 200 per second that so many callers get."""
    end = time.perf_counter() + seconds

    def until_the_end() -> Iterator[bytes]:
        number = 0
        while time.perf_counter() < end:
            yield make(number)
            number += 1

    asked = await ask_all(address, until_the_end(), callers)
    return asked.rate
