"""A thousand warm IDs in one request, over what CatBoost takes for the same rows alone, on the same core."""

from contextlib import AsyncExitStack
from statistics import median
from typing import Final

import numpy as np

from load_tests.asking import SIMPLE, ask
from load_tests.benchmark.companion import Ask, companion
from load_tests.benchmark.contenders import Contender
from load_tests.benchmark.effort import Effort
from load_tests.benchmark.running import Part, Run

ROWS: Final = {"batch-plain": "plain", "batch-demo": "demo"}
"""Row to contender."""

_TURN_S: Final = 3.0


async def measure(run: Run) -> None:
    """The service and CatBoost take turns."""
    wanted = {name: who for name, who in ROWS.items() if name in run.wanted}
    ours: dict[str, list[float]] = {name: [] for name in wanted}
    alone: dict[str, list[float]] = {name: [] for name in wanted}
    async with AsyncExitStack() as stack:
        ready = {name: await _prepare(run, stack, who) for name, who in wanted.items()}
        for turn in range(run.effort.repetitions + 1):
            for name, (contender, requests, ask_alone) in ready.items():
                await contender.warm_for(_TURN_S)
                asked = await contender.one_by_one(requests, run.effort.large)
                seconds = await ask_alone(run.effort.large)
                if turn:
                    ours[name].append(median(asked.times) * 1000)
                    alone[name].append(median(seconds) * 1000)
            if turn:
                told = ", ".join(f"{ours[name][-1]:.2f} ms over {alone[name][-1]:.2f} ms" for name in wanted)
                run.progress.tell(told, turn / run.effort.repetitions)
    for name in wanted:
        samples = [mine / theirs for mine, theirs in zip(ours[name], alone[name], strict=True)]
        run.book.add(name, samples, {"service, p50 in ms": ours[name], "CatBoost alone, p50 in ms": alone[name]})


async def _prepare(run: Run, stack: AsyncExitStack, name: str) -> tuple[Contender, list[bytes], Ask]:
    """The service, its requests, and CatBoost with the same rows in the same order."""
    contender, bench = await run.field.contender(name), await run.field.bench(name)
    sets = contender.sets(run.effort.many, run.effort.sets)
    tables = [bench.oracle.tables_of(instances) for instances in sets]
    rows = run.scratch / f"{name}.npz"
    np.savez(
        rows,
        numbers=np.stack([numbers for numbers, _ in tables]),
        words=np.stack([words for _, words in tables]).astype(np.bytes_),
    )
    alone = companion("load_tests.baselines.catboost_alone", bench.served.bundle / "model.cbm", rows)
    requests = [ask(SIMPLE, instances, None) for instances in sets]
    return contender, requests, await stack.enter_async_context(alone)


def _expected_s(effort: Effort, wanted: frozenset[str]) -> float:
    return len(wanted) * (2 + effort.warm / 8_000 + effort.repetitions * effort.large * 0.01)


PART: Final = Part("1,000 warm IDs", frozenset(ROWS), _expected_s, measure)
