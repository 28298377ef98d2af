"""Drain: a service that is told to stop while it works loses nobody's request.

Two services stand behind a round robin that repeats nothing. Five times, one of them gets SIGTERM under load; whatever
is not answered with 200 has failed.
"""

import asyncio
import signal
import time
from typing import Final

from load_tests.balancer import Balancer
from load_tests.bench import WARM_TTL, Bench
from load_tests.generator import Check, run_load
from load_tests.objectives import at_least, at_most, none_of
from load_tests.outcome import Outcome
from load_tests.processes import ProcessFailed
from load_tests.profiles.base import Options, Profile, Results, say
from load_tests.sizing import entities_for, limits_for, rate_at, settings_for, warm
from load_tests.stories import Span

ROUNDS: Final = 5
REQUESTS: Final = 20_000
EXIT_BAR_S: Final = 9.0
"""Cloud Run kills ten seconds after SIGTERM."""

_KIND: Final = "simple_warm"
_SHARE: Final = 0.7
_MORE: Final = 1.04
"""A Poisson process has now more, now fewer arrivals than its mean (20,800, give or take 144): so never too few."""


async def run(options: Options) -> Results:
    """Five drains under load."""
    results = Results()
    settings = {"KEYSCORE_DRAIN_S": "0"} if options.control else {}
    async with (
        Bench.start(
            entities=entities_for(options),
            instances=2,
            latency_ms=5,
            ttl=WARM_TTL,
            seed=options.seed,
            service_env=settings_for(options, settings),
        ) as bench,
        Balancer(bench.addresses) as balancer,
    ):
        rate = await rate_at(bench, _KIND, _SHARE, options, balancer.address)
        rounds = 1 if options.short else ROUNDS
        for number in range(rounds):
            for instance in range(len(bench.addresses)):  # rows are fresh for a minute: longer than a round takes
                await warm(bench, instance)
            seconds = _MORE * (120 if options.short else REQUESTS) / rate
            stopping = asyncio.create_task(_stop(bench, number % 2, seconds / 4))
            outcome = await run_load(
                balancer.address,
                bench.maker(_KIND, REQUESTS * 2),
                rate=rate,
                seconds=seconds,
                seed=options.seed + number,
                check=_check(bench),
                limits=limits_for(options),
            )
            name = f"drain {number + 1}"
            _judge(results, name, outcome, *(await stopping))
            if not options.short:
                results.objectives.append(at_least(f"requests, {name}", outcome.offered, REQUESTS))
            if number + 1 < rounds:
                await bench.restart(number % 2)
                await balancer.poll()
    return results


def _judge(results: Results, name: str, outcome: Outcome, exit_code: int, took_s: float) -> None:
    say(f"{name}: {outcome.counts()}, exit code {exit_code} after {took_s:.2f} s")
    results.runs[name] = outcome
    results.facts[name] = f"{outcome.counts()}; gone {took_s:.2f} s after SIGTERM with exit code {exit_code}"
    results.objectives += [
        none_of(f"failed requests, {name}", outcome.errors, outcome.offered, runs=[outcome]),
        none_of(f"wrong answers, {name}", len(outcome.wrong), outcome.checked),
        at_most(f"from SIGTERM to the end of the process, {name}", took_s, EXIT_BAR_S, "s"),
        none_of(f"exit codes other than 0, {name}", int(exit_code != 0), 1),
    ]


def _check(bench: Bench) -> Check:
    """The oracle's, of what the services answered; what the round robin says of a lost request is no answer."""

    def check(request: bytes, status: int, headers: dict[str, str], body: bytes, span: Span) -> str | None:
        return None if "x-balancer" in headers else bench.oracle.check(request, status, headers, body, span)

    return check


async def _stop(bench: Bench, instance: int, after_s: float) -> tuple[int, float]:
    """Exit code of a service that gets SIGTERM, and the seconds it took."""
    await asyncio.sleep(after_s)
    child = bench.services[instance]
    if not child.alive:
        raise ProcessFailed(f"{child.name} ended before it was told to:\n{child.last_words()}")
    began = time.monotonic()
    child.popen.send_signal(signal.SIGTERM)
    return await child.ended(30.0), time.monotonic() - began


PROFILE: Final = Profile(
    name="drain",
    summary="SIGTERM under 0.7 C behind a round robin over two services: no failed request, five times in a row",
    control="KEYSCORE_DRAIN_S=0: the port closes at once, before the round robin can know",
    run=run,
)
