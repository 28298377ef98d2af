"""What a profile needs to know before it can begin: how much this machine holds of one kind of request."""

from collections.abc import Mapping
from typing import Final

from load_tests.asking import SIMPLE, WARM_ENTITIES, ask
from load_tests.bench import Bench
from load_tests.bundles import plain_key
from load_tests.capacity import Capacity, Search, find_capacity
from load_tests.closed_loop import ask_all
from load_tests.generator import Address, Limits, run_load
from load_tests.outcome import Outcome
from load_tests.profiles.base import Options, say

_SHORT_RATE: Final = 60.0
"""Requests per second of a short run, which knows no capacity: any machine holds it."""

_SHORT_ENTITIES: Final = 1_000

_WARM_BATCH: Final = 500

_UNHURRIED: Final = {
    "KEYSCORE_DEADLINE_S": "60",
    "KEYSCORE_MAX_DEADLINE_S": "60",
    "KEYSCORE_ADAPTIVE_LIMIT": "false",
}
"""A busy machine is slow, not wrong: a short run, which counts, gives its service all the time it needs."""


def settings_for(options: Options, chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """The settings of a profile's service."""
    return {**(_UNHURRIED if options.short else {}), **(chosen or {})}


def entities_for(options: Options, full: int = WARM_ENTITIES) -> int:
    """How many entities the plain bundle has; a short run spends no time on rows that nobody asks for."""
    return _SHORT_ENTITIES if options.short else full


def limits_for(options: Options, patience_s: float = 8.0) -> Limits:
    """How long the generator waits for an answer: so many seconds, for longer in a short run."""
    return Limits(patience_s=60.0 if options.short else patience_s)


async def warm(bench: Bench, number: int = 0) -> None:
    """Every entity that warm requests ask for is in the cache of this service."""
    keys = [plain_key(at) for at in range(min(WARM_ENTITIES, bench.served.entities))]
    requests = (ask(SIMPLE, keys[at : at + _WARM_BATCH], f"warm-{at}") for at in range(0, len(keys), _WARM_BATCH))
    await ask_all(bench.addresses[number], requests, 1)


async def rate_at(bench: Bench, kind: str, share: float, options: Options, address: Address | None = None) -> float:
    """This share of what the services hold of a kind of request, in requests per second.

    The search is a coarse one (10 s per rate would cost more minutes than the profile has): these profiles ask for a
    share of C, not for C.

    Args:
        bench: What is asked.
        kind: See `asking.KINDS`.
        share: Of the capacity.
        options: How the profile is run; a short run does not search.
        address: What is asked in place of the first service.

    Raises:
        NotMeasurable: No capacity can be found.
    """
    if options.short:
        return _SHORT_RATE
    found = await capacity(bench, kind, address or bench.address)
    say(f"C ({kind}) is {found.rate:,.0f} requests/s; going on at {share:g} C")
    return found.rate * share


async def capacity(bench: Bench, kind: str, address: Address) -> Capacity:
    """The capacity for a kind of request."""

    async def offer(rate: float, seconds: float) -> Outcome:
        make = bench.maker(kind, int(rate * seconds * 2) + 100)
        return await run_load(address, make, rate=rate, seconds=seconds, seed=bench.asker.seed)

    await offer(100.0, 3.0)  # connections, code paths and the first of the cache
    return await find_capacity(offer, Search(start=150.0, step_s=3.0, confirm_s=10.0, precision=0.08))
