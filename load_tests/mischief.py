"""All that goes wrong in a chaos run, from one seed: faults, kills and pauses of the store, values that change."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from load_tests.bench import Bench
from load_tests.pausing import pause

FAULTS: Final[tuple[Mapping[str, Any], ...]] = (
    {"kind": "latency", "ms": 5, "jitter_ms": 40},
    {"kind": "latency", "ms": 2, "tail_share": 0.05, "tail_ms": 400},
    {"kind": "error", "code": "UNAVAILABLE"},
    {"kind": "error", "code": "INTERNAL"},
    {"kind": "error", "code": "RESOURCE_EXHAUSTED"},
    {"kind": "error", "code": "DEADLINE_EXCEEDED"},
    {"kind": "black_hole"},
    {"kind": "wrong_type"},
    {"kind": "wrong_entity"},
    {"kind": "malformed"},
    {"kind": "malformed", "level": "connection"},
    {"kind": "oversized"},
    {"kind": "duplicate_features"},
    {"kind": "unknown_features"},
    {"kind": "reordered_features"},
    {"kind": "non_finite", "value": "inf"},
    {"kind": "future"},
    {"kind": "reset"},
    {"kind": "slow_drip"},
    {"kind": "goaway"},
)
"""Faults that a reader can notice. A store that lies so that nobody could tell (answers for another entity under the
asked key, leaves values out, or says NaN, which is how many a pipeline spells null) is not among them."""

_STEP_S: Final = 1.0
_CALM: Final = 0.25  # of all steps nothing is wrong in so many: caches fill, throttles open
_OUTAGE: Final = 0.06
_STORE_PAUSE: Final = 0.06
_SERVICE_PAUSE: Final = 0.04


@dataclass(slots=True)
class Mischief:
    """What a run has done so far.

    Attributes:
        changes: Values changed.
        steps: Steps by what was done in them.
    """

    changes: int = 0
    steps: dict[str, int] = field(default_factory=dict)


@asynccontextmanager
async def mischief(
    bench: Bench, seed: int, *, changes_per_s: float, unnoticed: bool = False
) -> AsyncIterator[Mischief]:
    """Things go wrong while the block lasts.

    Args:
        bench: What suffers.
        seed: The same seed does the same in the same order; at other moments of the load, since time passes as it does.
        changes_per_s: How many values of the demo's customers change.
        unnoticed: The oracle does not learn of the changes: a control.
    """
    done = Mischief()
    tasks = [
        asyncio.create_task(_disturb(bench, Random(seed), done)),  # noqa: S311  # to be repeated
        asyncio.create_task(_change(bench, Random(seed + 1), done, changes_per_s, unnoticed=unnoticed)),  # noqa: S311  # same
    ]
    try:
        yield done
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await bench.faults([])
        await bench.serving(up=True)


async def _disturb(bench: Bench, dice: Random, done: Mischief) -> None:
    while True:
        draw = dice.random()
        rules = [] if draw < _CALM else [_fault(dice) for _ in range(dice.randint(1, 3))]
        await bench.faults(rules)
        for rule in rules:
            _count(done, str(rule["kind"]))
        outage, store, service = dice.random(), dice.random(), dice.random()
        if outage < _OUTAGE:
            _count(done, "store killed")
            await bench.serving(up=False)
            await asyncio.sleep(dice.uniform(0.2, 2.0))
            await bench.serving(up=True)
        elif store < _STORE_PAUSE and bench.emulated is not None:
            _count(done, "store paused")
            await pause(bench.emulated.child.pid, dice.uniform(0.1, 1.0))
        elif service < _SERVICE_PAUSE:
            _count(done, "service paused")
            await pause(bench.service_pids[0], dice.uniform(0.05, 0.3))
        await asyncio.sleep(_STEP_S * dice.uniform(0.5, 1.5))


def _fault(dice: Random) -> dict[str, Any]:
    return {**dice.choice(FAULTS), "share": round(dice.uniform(0.02, 0.6), 2), "seed": dice.randrange(2**31)}


async def _change(bench: Bench, dice: Random, done: Mischief, per_s: float, *, unnoticed: bool) -> None:
    """Balances move, as they do."""
    truth = bench.oracle.truth
    while True:
        await asyncio.sleep(dice.expovariate(per_s))
        key = dice.choice(bench.asker.customers)
        row = truth.current("customer_account", key)
        if row is not None:
            values = {**row, "balance": round(dice.uniform(-500, 5_000), 2)}
            (truth.change_unnoticed if unnoticed else truth.change)("customer_account", key, values)
            done.changes += 1


def _count(done: Mischief, what: str) -> None:
    done.steps[what] = done.steps.get(what, 0) + 1
