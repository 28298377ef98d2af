"""Slow-loris: a thousand connections that send one byte in five seconds are closed in time and harm nobody."""

import asyncio
import time
from typing import Final

from load_tests.bench import WARM_TTL, Bench
from load_tests.checked import checked_load
from load_tests.objectives import at_least, at_most, none_of
from load_tests.outcome import Outcome
from load_tests.profiles.base import Options, Profile, Results, say
from load_tests.sizing import entities_for, rate_at, settings_for, warm
from load_tests.slow_clients import Held, hold

CONNECTIONS: Final = 1000
CLOSED_BAR_S: Final = 10.0
P99_BAR: Final = 1.5

_KIND: Final = "simple_warm"
_SHARE: Final = 0.5
_PATIENCE_S: Final = 15.0
_SHORT_CONNECTIONS: Final = 50
_SHORT_TIMEOUT_S: Final = 2.0
_SHORT_PATIENCE_S: Final = 6.0
"""A short run waits no longer, and what is open by then is what counts: three times the timeout, should it be busy."""

_RAMP_S: Final = 4.0
"""A wave of connections comes over this time: accepting a thousand at once is a load of its own, of another kind."""


async def run(options: Options) -> Results:
    """Healthy load alone, then beside waves of slow connections."""
    async with Bench.start(
        entities=entities_for(options),
        seed=options.seed,
        ttl=WARM_TTL,
        service_env=settings_for(options, _receive_timeout(options)),
    ) as bench:
        rate = await rate_at(bench, _KIND, _SHARE, options)
        await warm(bench)
        seconds = options.seconds(30.0, 1.5)
        alone = await _healthy(bench, rate, seconds, options)
        await warm(bench)  # rows are fresh for a minute
        waves = asyncio.create_task(_waves(bench, time.monotonic() + seconds - _RAMP_S, options))
        beside = await _healthy(bench, rate, seconds, options)
        held = await waves
    results = Results(runs={"alone": alone, "beside slow connections": beside})
    _tell(held, results)
    bar_s = options.seconds(CLOSED_BAR_S, _SHORT_PATIENCE_S)
    late = [one for one in held if not one.closed or one.open_s > bar_s]
    results.objectives = [
        at_least("slow connections", len(held), _connections(options)),
        none_of(f"slow connections open after {bar_s:g} s", len(late), len(held)),
        none_of("healthy requests that failed", beside.errors, beside.offered, runs=[beside]),
        none_of("wrong answers", len(beside.wrong), beside.checked),
    ]
    if not options.short:
        ratio = beside.p(0.99) / alone.p(0.99)
        results.objectives.append(at_most("healthy p99, beside / alone", ratio, P99_BAR, runs=[alone, beside]))
    return results


def _receive_timeout(options: Options) -> dict[str, str]:
    """The shipped one; in a short run one that ends sooner."""
    if options.control:
        return {"KEYSCORE_RECEIVE_TIMEOUT_S": "60"}
    return {"KEYSCORE_RECEIVE_TIMEOUT_S": str(_SHORT_TIMEOUT_S)} if options.short else {}


def _connections(options: Options) -> int:
    return _SHORT_CONNECTIONS if options.short else CONNECTIONS


async def _healthy(bench: Bench, rate: float, seconds: float, options: Options) -> Outcome:
    outcome = await checked_load(bench, _KIND, rate, seconds, options)
    say(f"healthy load: {outcome.counts()}, p99 {outcome.p(0.99) * 1000:.1f} ms")
    return outcome


async def _waves(bench: Bench, until: float, options: Options) -> list[Held]:
    """Wave after wave of slow connections, the last of which begins before `until`."""
    held: list[Held] = []
    while not held or time.monotonic() < until:
        held += await hold(
            bench.address,
            _connections(options),
            options.seconds(_PATIENCE_S, _SHORT_PATIENCE_S),
            ramp_s=options.seconds(_RAMP_S, 0.5),
        )
    return held


def _tell(held: list[Held], results: Results) -> None:
    for part in ("headers", "body"):
        mine = [one for one in held if one.part == part]
        longest = max((one.open_s for one in mine), default=0.0)
        still = sum(not one.closed for one in mine)
        results.facts[f"slow {part}"] = (
            f"{len(mine)} connections, {still} never closed, the longest open for {longest:.1f} s, "
            f"answered {sorted({one.answer[9:12].decode('latin-1') or 'nothing' for one in mine})}"
        )


PROFILE: Final = Profile(
    name="slowloris",
    summary="1,000 connections that send a byte in 5 s: all closed within 10 s, healthy p99 at most 1.5 times",
    control="KEYSCORE_RECEIVE_TIMEOUT_S=60: who sends slowly may stay for a minute",
    run=run,
)
