"""Warm requests of one ID at 64 connections: the contenders take turns, so that a machine that slows down slows all.

A constant takes its turns, too: what the closed loop gets of it is the most that it can measure.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from load_tests.benchmark.contenders import CONNECTIONS
from load_tests.benchmark.effort import Effort
from load_tests.benchmark.running import Part, Run
from load_tests.cpu import Neighbours
from load_tests.processes import SERVICE_CORE
from load_tests.report import number

RATIOS: Final[Mapping[str, tuple[str, str]]] = {
    "warm-plain": ("plain", "hello"),
    "warm-demo": ("demo", "hello"),
    "naive-warm": ("plain", "naive-loop"),
    "telemetry": ("plain", "silent"),
}
"""Whose rate is divided by whose."""

BESIDE: Final[Mapping[str, str]] = {"hello": "hello-thread", "naive-loop": "naive"}
"""Who is told beside whom: written the other way, FastAPI gives other figures, and readers ask which. Judged are the
`async` routes: what most people write, and what the bars were set by (6,800 and 102 requests/s, as first measured).
The ratio to the other is in the notes, by its name."""

CEILING: Final = "raw"
CEILING_SHARE: Final = 0.8
"""A rate above this share of the ceiling may be the generator's own."""

_ORDER: Final = (CEILING, "hello", "hello-thread", "plain", "silent", "demo", "naive", "naive-loop")


async def measure(run: Run) -> None:
    """Every contender that a wanted row needs, turn by turn."""
    wanted = [name for name in RATIOS if name in run.wanted]
    rates = await _rates(run, taking_part(run.wanted))
    run.book.ceiling.extend(rates[CEILING])
    for name in wanted:
        one, other = RATIOS[name]
        samples = [mine / theirs for mine, theirs in zip(rates[one], rates[other], strict=True)]
        told = [one, other, *([BESIDE[other]] if other in BESIDE else [])]
        raw = {f"{who}, requests/s": rates[who] for who in told}
        doubts = (beyond(rates[CEILING], rates[one], rates[other]), *map(run.book.disturbed, (one, other)))
        run.book.add(name, samples, raw, note=_beside(rates, one, other), void=next(filter(None, doubts), None))


def _beside(rates: Mapping[str, Sequence[float]], one: str, other: str) -> str:
    """The ratio to the one who is told beside the other, if anybody is."""
    if other not in BESIDE:
        return ""
    ratio = median(mine / theirs for mine, theirs in zip(rates[one], rates[BESIDE[other]], strict=True))
    return f"÷ {BESIDE[other]} (not judged) {number(ratio)}"


def taking_part(wanted: frozenset[str]) -> list[str]:
    """Who must take turns for these rows."""
    compared = {who for name, pair in RATIOS.items() if name in wanted for who in pair}
    needed = {CEILING, *compared, *(BESIDE[who] for who in compared if who in BESIDE)}
    return [name for name in _ORDER if name in needed]


async def _rates(run: Run, names: Sequence[str]) -> dict[str, list[float]]:
    """Requests per second of each, once per repetition."""
    contenders = [await run.field.contender(name) for name in names]
    rates: dict[str, list[float]] = {name: [] for name in names}
    repetitions = run.effort.repetitions
    for turn in range(repetitions + 1):
        for contender in contenders:
            await contender.warm_for(run.effort.seconds)
            neighbours = Neighbours(contender.pid, SERVICE_CORE)
            asked = await contender.turn(CONNECTIONS, run.effort.seconds)
            if turn:  # the first one of each is for what is done for the first time
                rates[contender.name].append(asked.rate)
                run.book.neighbours.setdefault(contender.name, []).append(neighbours.share())
        if turn:
            told = ", ".join(f"{name} {found[-1]:,.0f}/s" for name, found in rates.items())
            run.progress.tell(f"repetition {turn} of {repetitions}: {told}", (turn + 1) / (repetitions + 1))
    return rates


def beyond(ceiling: Sequence[float], *rates: Sequence[float]) -> str | None:
    """Why these rates prove nothing, if so."""
    most, limit = max(map(median, rates)), CEILING_SHARE * median(ceiling)
    if most > limit:
        return (
            f"{most:,.0f} requests/s are more than {CEILING_SHARE:.0%} of the {median(ceiling):,.0f} that can be asked"
        )
    return None


def _expected_s(effort: Effort, wanted: frozenset[str]) -> float:
    names = taking_part(wanted)
    cached = len({"plain", "silent", "demo"} & set(names))
    filling_s = effort.warm / 8_000 * cached
    turns = (effort.repetitions + 1) * (effort.seconds + 0.2) * len(names)
    return 1.2 * len(names) + turns + filling_s * (1 + turns / 40)


PART: Final = Part("warm, one ID", frozenset(RATIOS), _expected_s, measure)
