"""IDs that nobody asked for before, one caller at a time, on a store that takes 5 ms."""

from statistics import median
from typing import Final

from load_tests.asking import SIMPLE, ask
from load_tests.benchmark.companion import companion
from load_tests.benchmark.effort import Effort
from load_tests.benchmark.running import Part, Run
from load_tests.bundles import PLAIN_PARENT, PLAIN_VIEW

_ONE: Final = "cold-one"
_HUNDRED: Final = "cold-hundred"


async def measure(run: Run) -> None:
    """One ID against a bare client's read of another; then many IDs at once."""
    if _ONE in run.wanted:
        await _one(run)
    if _HUNDRED in run.wanted:
        await _hundred(run)


async def _one(run: Run) -> None:
    plain, bench = await run.field.contender("plain"), await run.field.bench("plain")
    assert bench.emulated is not None  # noqa: S101  # the plain service reads an emulator
    count, ours, bare = run.effort.singles, list[float](), list[float]()
    view = f"{PLAIN_PARENT}/featureViews/{PLAIN_VIEW}"
    async with companion("load_tests.baselines.bare_read", bench.emulated.port, view) as read:
        for turn in range(run.effort.repetitions + 1):
            seconds = await read(run.field.fresh_keys(count))
            asked = await plain.one_by_one([ask(SIMPLE, [key], None) for key in run.field.fresh_keys(count)])
            if turn:
                bare.append(median(seconds) * 1000)
                ours.append(median(asked.times) * 1000)
                run.progress.tell(f"{ours[-1]:.2f} ms beside {bare[-1]:.2f} ms", turn / run.effort.repetitions / 2)
    samples = [mine - theirs for mine, theirs in zip(ours, bare, strict=True)]
    raw = {"service, p50 in ms": ours, "bare client, p50 in ms": bare}
    run.book.add(_ONE, samples, raw, note="store at 5 ms")


async def _hundred(run: Run) -> None:
    plain, samples = await run.field.contender("plain"), list[float]()
    for turn in range(run.effort.repetitions + 1):
        wanted = [run.field.fresh_keys(run.effort.some) for _ in range(run.effort.hundreds)]
        asked = await plain.one_by_one([ask(SIMPLE, keys, None) for keys in wanted])
        if turn:
            samples.append(median(asked.times) * 1000)
            run.progress.tell(f"{run.effort.some} IDs in {samples[-1]:.2f} ms", 0.5 + turn / run.effort.repetitions / 2)
    run.book.add(_HUNDRED, samples, {"service, p50 in ms": samples})


def _expected_s(effort: Effort, wanted: frozenset[str]) -> float:
    turns = effort.repetitions + 1
    each_s = {_ONE: effort.singles * 0.014, _HUNDRED: effort.hundreds * 0.02}
    return 2 + turns * sum(each_s[name] for name in wanted)


PART: Final = Part("cold IDs", frozenset({_ONE, _HUNDRED}), _expected_s, measure)
