"""Cold IDs in one request: the naive service reads them one after the other."""

from statistics import median
from typing import Final

from load_tests.asking import SIMPLE, ask
from load_tests.benchmark.effort import Effort
from load_tests.benchmark.running import Part, Run

_ROW: Final = "naive-cold"


async def measure(run: Run) -> None:
    """Both take turns, each with IDs that nobody asked for before."""
    plain, naive = await run.field.contender("plain"), await run.field.contender("naive")
    counts = {plain.name: run.effort.hundreds, naive.name: run.effort.naive}
    times: dict[str, list[float]] = {name: [] for name in counts}
    for turn in range(run.effort.repetitions + 1):
        for contender in (plain, naive):
            wanted = [run.field.fresh_keys(run.effort.some) for _ in range(counts[contender.name])]
            asked = await contender.one_by_one([ask(SIMPLE, keys, None) for keys in wanted])
            if turn:
                times[contender.name].append(median(asked.times) * 1000)
        if turn:
            told = ", ".join(f"{name} {found[-1]:,.1f} ms" for name, found in times.items())
            run.progress.tell(told, turn / run.effort.repetitions)
    samples = [theirs / ours for ours, theirs in zip(times["plain"], times["naive"], strict=True)]
    run.book.add(_ROW, samples, {f"{name}, p50 in ms": found for name, found in times.items()})


def _expected_s(effort: Effort, wanted: frozenset[str]) -> float:  # noqa: ARG001  # there is one row
    return 3 + (effort.repetitions + 1) * (effort.naive * 1.0 + effort.hundreds * 0.02)


PART: Final = Part("against naive, cold", frozenset({_ROW}), _expected_s, measure)
