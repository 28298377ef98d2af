"""The two ways of asking that capacity is stated for, and how each is measured.

Cold detailed: every ID is new, the store takes 5 ms, the whole story is told. Warm simple: 20,000 IDs that are in the
cache, scores only. Between them lies what a service meets.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from load_tests.arrivals import Times, poisson
from load_tests.bench import WARM_TTL, Bench
from load_tests.capacity import Capacity, NotMeasurable, Search, find_capacity
from load_tests.closed_loop import throughput
from load_tests.generator import Limits, run_load
from load_tests.outcome import Outcome
from load_tests.profiles.base import Options, say

UNPROTECTED: Final = {"KEYSCORE_ADAPTIVE_LIMIT": "false", "KEYSCORE_MAX_IN_FLIGHT": "100000"}
"""A service that admits everything: the negative control of whatever is about overload."""

STORE_MS: Final = 5.0
DEADLINE_S: Final = 1.0
"""The service's own, as shipped: later answers are no good."""

_WARM_BATCH: Final = 500
_WARM_BATCHES_PER_S: Final = 10
_WARM_ATTEMPTS: Final = 3
_CHECK_EVERY: Final = 20

_REACH: Final = 30_000
"""Requests per second that the generator sends in time: 14 us of its core for each."""

_IDS: Final = (1, 16, 64, 128, 256)
_CALLERS: Final = 64
_GLANCE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Route:
    """A way of asking.

    Attributes:
        name: What to call it.
        kind: Of requests, see `asking.KINDS`.
        entities: How many the store has.
        rho_bar: The highest cost of a refusal over that of an answer.
        warm: Whether the cache is filled before anything is measured.
        ids: IDs in a request.
        ttl: How long rows stay fresh. Those of a cache that was filled at once also end at once, a minute later, and
            what is measured then is no longer warm.
    """

    name: str
    kind: str
    entities: int
    rho_bar: float
    warm: bool
    ids: int = 1
    ttl: str = "60s"

    def bench(self, seed: int, environment: Mapping[str, str] | None = None) -> AbstractAsyncContextManager[Bench]:
        """A service and its store for this route."""
        return Bench.start(
            entities=self.entities,
            ttl=self.ttl,
            latency_ms=STORE_MS,
            service_env=environment,
            seed=seed,
            batch_size=_WARM_BATCH,
            warm_ids=self.ids,
        )

    async def offer(self, bench: Bench, times: Times, seconds: float, *, check_every: int = _CHECK_EVERY) -> Outcome:
        """Offer requests of this route when they are due."""
        return await run_load(
            bench.address,
            bench.maker(self.kind, times.size),
            times=times,
            seconds=seconds,
            check=bench.oracle.check,
            check_every=check_every * self.ids,
            deadline_s=DEADLINE_S,
            limits=Limits(connections=4_000, patience_s=3.0),
            pids=bench.service_pids,
        )

    async def prepare(self, bench: Bench) -> None:
        """The cache is as the route says, and nothing is done for the first time any more."""
        if self.warm:
            await fill_cache(bench, self.entities)
        await self.offer(bench, poisson(100, 2, 0), 2)


async def fill_cache(bench: Bench, entities: int) -> None:
    """Every entity has been asked for at least once, and was answered.

    Raises:
        NotMeasurable: Again and again it was not.
    """
    times = np.arange(-(-entities // _WARM_BATCH)) / _WARM_BATCHES_PER_S
    for _ in range(_WARM_ATTEMPTS):
        outcome = await run_load(bench.address, lambda number: bench.request("batch", number), times=times)
        if not outcome.errors:
            return
    raise NotMeasurable(f"the cache could not be filled: {outcome.counts()}")


COLD_DETAILED: Final = Route("cold detailed", "detailed_cold", 250_000, 0.15, warm=False)
"""New again after 250,000: the cache, which remembers 100,000, has long forgotten them."""

WARM_SIMPLE: Final = Route("warm simple", "simple_warm", 20_000, 0.5, warm=True, ttl=WARM_TTL)


async def within_reach(route: Route, k: float, options: Options) -> tuple[Route, str]:
    """A warm route whose requests hold so many IDs that the generator can offer k times what is answered; and why.

    What a request of one ID costs the service is little more than what it costs the generator, so that on a fast
    machine five times the capacity could never be offered in time.
    """
    told = ""
    async with route.bench(options.seed) as bench:
        await route.prepare(bench)
        for ids in _IDS:
            one = replace(route, ids=ids)
            bench.asker = replace(bench.asker, warm_ids=ids)
            make = bench.maker(route.kind, 10**7)
            await throughput(bench.address, make, _CALLERS, _GLANCE_S / 2)
            rate = await throughput(bench.address, make, _CALLERS, _GLANCE_S)
            told += f"{', ' if told else ''}{ids}: {rate:,.0f}/s"
            say(f"  {route.name} with {ids} IDs a request: {rate:,.0f}/s are answered")
            if k * rate <= _REACH:
                break
    return one, f"{one.ids} (answered at {_CALLERS} connections: {told}; the generator reaches {_REACH:,}/s)"


async def measure_capacity(route: Route, options: Options) -> Capacity:
    """C of an unbroken service on a route; on the control's runs, too, since the bars are the same.

    Raises:
        NotMeasurable: There is none.
    """
    search = Search(growing_s=1, step_s=1, confirm_s=3, precision=0.25) if options.short else Search()
    async with route.bench(options.seed) as bench:
        await route.prepare(bench)

        async def offer(rate: float, seconds: float) -> Outcome:
            outcome = await route.offer(bench, poisson(rate, seconds, options.seed), seconds)
            say(f"  {route.name}: {told(outcome)}")
            await asyncio.sleep(1)  # what an overloaded step left behind is no concern of the next one
            return outcome

        found = await find_capacity(offer, search)
    say(f"  {route.name}: C = {found.rate:,.0f} requests/s")
    return found


def told(outcome: Outcome) -> str:
    """A run in a line."""
    counts = ", ".join(f"{name} {count:,}" for name, count in outcome.counts().items())
    return (
        f"{outcome.offered_rate:7,.0f}/s for {outcome.seconds:g} s: goodput {outcome.goodput:7,.0f}/s, "
        f"p99 {outcome.p(0.99) * 1000:6.1f} ms, send lag {outcome.lag_p99_s * 1000:.1f} ms ({counts})"
    )
