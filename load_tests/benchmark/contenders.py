"""Those who take turns: each an address, what it is asked, and what a right answer looks like."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, Final, Protocol

import orjson

from load_tests.asking import PATIENT, SIMPLE, ask, request_bytes
from load_tests.benchmark.book import Soundness
from load_tests.capacity import NotMeasurable
from load_tests.client import headers_of, status_of
from load_tests.closed_loop import Asked, ask_all, for_a_while
from load_tests.generator import Address
from load_tests.quiet import undisturbed

CONNECTIONS: Final = 64

_OK: Final = 200
_SELDOM: Final = 10
_FILL: Final = 500
"""IDs in a request that fills a cache."""
_TTL_S: Final = 54.0
"""Every row is fresh for so long at least: the bundles' 60 s, less the tenth by which rows' times differ."""
_RECENT_S: Final = 10


class Check(Protocol):
    """Says what is wrong with an answer; None if nothing is."""

    def __call__(self, request: bytes, status: int, headers: Mapping[str, str], body: bytes, /) -> str | None:
        """See the class; header names are lower-case."""
        ...


@dataclass(slots=True)
class Warmth:
    """Keeps the rows in a service's cache so fresh that none has to be read again within a turn.

    Rows that were read together end together, a minute later, and a turn that met that end would be no longer warm.

    Attributes:
        address: Of the service.
        instances: One for each entity.
        filled_at: When the cache was filled, by the monotonic clock.
    """

    address: Address
    instances: Sequence[Any]
    filled_at: float = float("-inf")

    async def last(self, seconds: float) -> None:
        """Every row is in the cache and fresh for so long from now; reads again only what would not be.

        Raises:
            NotMeasurable: The service does not answer.
        """
        began = time.monotonic()
        if began + seconds < self.filled_at - _RECENT_S + _TTL_S:
            return
        asked = await ask_all(self.address, self._requests(), 1)
        if asked.answered != asked.total:
            raise NotMeasurable(f"the cache cannot be filled: {asked.statuses}")
        self.filled_at = began

    def _requests(self) -> Iterator[bytes]:
        # 0 the first time, when rows that other requests have brought may be of any age
        bound = _RECENT_S if self.filled_at > 0 else 0
        for at in range(0, len(self.instances), _FILL):
            sent = {"instances": self.instances[at : at + _FILL], "parameters": {"max_cached_s": bound}}
            yield request_bytes(SIMPLE, orjson.dumps(sent), None, PATIENT)


@dataclass(slots=True)
class Contender:
    """One of them.

    Attributes:
        name: What it is called.
        address: Where it listens.
        pid: Its process.
        requests: Of one warm ID each; asked over and over.
        check: Says what is wrong with an answer.
        check_every: One answer in this many is checked.
        warmth: Of its cache, if it has one.
        draw: Sets of so many warm instances, for larger requests.
        sound: What its answers were so far.
    """

    name: str
    address: Address
    pid: int
    requests: Sequence[bytes]
    check: Check
    check_every: int
    warmth: Warmth | None = None
    draw: Callable[[int, int], list[list[Any]]] | None = None
    sound: Soundness = field(default_factory=Soundness)

    async def warm_for(self, seconds: float) -> None:
        """What warm requests ask for is in the cache, and will be for so long."""
        if self.warmth is not None:
            await self.warmth.last(seconds)

    async def turn(self, callers: int, seconds: float, requests: Sequence[bytes] | None = None) -> Asked:
        """So many callers ask for so long; warm requests of one ID unless others are named."""
        await self.warm_for(seconds)
        return await self._ask(for_a_while(requests or self.requests, seconds), callers, self.check_every)

    async def one_by_one(self, requests: Sequence[bytes], count: int | None = None) -> Asked:
        """One caller asks so many requests: each of them once, unless another count is named."""
        return await self._ask(islice(cycle(requests), count or len(requests)), 1, min(self.check_every, _SELDOM))

    def sets(self, ids: int, count: int) -> list[list[Any]]:
        """So many sets of so many different warm instances."""
        assert self.draw is not None  # noqa: S101  # asked of the services only
        return self.draw(ids, count)

    def large_requests(self, ids: int, count: int) -> list[bytes]:
        """Requests of these sets."""
        return [ask(SIMPLE, instances, None) for instances in self.sets(ids, count)]

    async def _ask(self, requests: Iterator[bytes], callers: int, check_every: int) -> Asked:
        with undisturbed():
            asked = await ask_all(self.address, requests, callers, keep_every=check_every)
        examine(asked, self.check, self.sound)
        return asked


def examine(asked: Asked, check: Check, sound: Soundness) -> None:
    """Counts what became of the requests, and checks the answers that were kept."""
    sound.count(asked.statuses)
    for request, head, body in asked.kept:
        status = status_of(head)
        if status != _OK:
            continue
        sound.checked += 1
        reason = check(request, status, headers_of(head), body)
        if reason is not None:
            sound.wrong.append(reason)
