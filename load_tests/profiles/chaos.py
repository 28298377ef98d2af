"""Chaos: whatever happens to the store and to the process, no answer is wrong and nothing substituted goes unflagged.

Requests may fail; an answer of 200 may not be other than what the store held, and a refusal must be an honest one.
"""

from random import Random
from typing import Final, Literal

from load_tests.asking import DETAILED, SIMPLE, ask
from load_tests.bench import Bench
from load_tests.bundles import Served
from load_tests.generator import run_load
from load_tests.mischief import mischief
from load_tests.objectives import at_least, none_of
from load_tests.profiles.base import Options, Profile, Results, say
from load_tests.sizing import limits_for, rate_at, settings_for

REQUESTS: Final = 100_000
CUSTOMERS: Final = 400
"""Few enough that changed values are asked for again while they are in cache."""

_SHARE: Final = 0.5
_MORE: Final = 1.02
"""A Poisson process has now more, now fewer arrivals than its mean (102,000, give or take 319): so never too few."""
_CHANGES_PER_S: Final = 20.0
_CHANGES: Final = 2_000
"""In a full run at least, however fast the requests are over."""


async def run(options: Options) -> Results:
    """All requests to the demo, beside the mischief."""
    return await run_on("demo", options)


async def run_on(bundle: Literal["demo"] | Served, options: Options) -> Results:
    """The same for any bundle with the demo's keys and fields."""
    async with Bench.start(
        bundle=bundle, latency_ms=1, seed=options.seed, private_rows=True, service_env=settings_for(options)
    ) as bench:
        bench.asker.customers = bench.asker.customers[:CUSTOMERS]
        rate = await rate_at(bench, "fraud", _SHARE, options)
        requests = 200 if options.short else REQUESTS
        say(f"{requests:,} requests at {rate:,.0f}/s, {requests / rate / 60:.1f} minutes")
        changes_per_s = _CHANGES_PER_S if options.short else max(_CHANGES_PER_S, _CHANGES * rate / requests)
        async with mischief(bench, options.seed, changes_per_s=changes_per_s, unnoticed=options.control) as done:
            outcome = await run_load(
                bench.address,
                lambda number: payment(bench, options.seed, number),
                rate=rate,
                seconds=_MORE * requests / rate,
                seed=options.seed,
                check=bench.oracle.check,
                limits=limits_for(options),
            )
        metrics = await bench.metrics()
    results = Results(runs={"chaos": outcome})
    substituted = sum(value for name, value in metrics.items() if name.startswith("keyscore_values_substituted_total"))
    results.facts |= {
        "answers": str(outcome.counts()),
        "what went wrong": str(dict(sorted(done.steps.items()))),
        "values changed": str(done.changes),
        "values substituted": f"{substituted:,.0f}",
        "first wrong answers": "; ".join(one.reason[:300] for one in outcome.wrong[:3]) or "none",
    }
    results.objectives = [
        none_of("wrong or unflagged answers", len(outcome.wrong), outcome.checked),
        at_least("answers that were checked", outcome.checked, 0.9 * outcome.offered),
        at_least("share of answers with 200", 1 - outcome.error_share, 0.3),
        at_least("values changed", done.changes, 5 if options.short else 1_000),
    ]
    if not options.short:
        results.objectives.append(at_least("requests", outcome.offered, REQUESTS))
    return results


def payment(bench: Bench, seed: int, number: int) -> bytes:
    """Request `number`: one to three payments, on one route or the other."""
    dice = Random(seed << 32 | number)  # noqa: S311  # to be repeated
    instances = [bench.asker.payment(number * 3 + at) for at in range(dice.choice((1, 1, 1, 2, 3)))]
    return ask(dice.choice((SIMPLE, DETAILED)), instances, f"seed{seed}-{number}")


PROFILE: Final = Profile(
    name="chaos",
    summary="100,000 requests while the store fails, dies, pauses and changes: no wrong or unflagged answer",
    control="values change behind the oracle's back, so that right answers look wrong",
    run=run,
    timed=False,
)
