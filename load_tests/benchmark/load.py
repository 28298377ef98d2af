"""Requests/s and times by connections and by IDs per request: a closed loop, which never asks for too much."""

from typing import Final

import numpy as np

from load_tests.benchmark.book import LoadLine
from load_tests.benchmark.contenders import CONNECTIONS
from load_tests.benchmark.effort import Effort
from load_tests.benchmark.running import Part, Run
from load_tests.closed_loop import Asked
from load_tests.outcome import quantile

_ROW: Final = "load"
_CONTENDERS: Final = ("plain", "demo")
_CALLERS: Final = (1, 16, CONNECTIONS)
_TURNS: Final = 2


async def measure(run: Run) -> None:
    """One ID at several numbers of connections, then several IDs at one connection."""
    shapes = [*((callers, 1) for callers in _CALLERS), (1, run.effort.some), (1, run.effort.many)]
    contenders = [await run.field.contender(name) for name in _CONTENDERS]
    for number, (callers, ids) in enumerate(shapes):
        sent = {one.name: one.large_requests(ids, run.effort.sets) if ids > 1 else None for one in contenders}
        asked: dict[str, list[Asked]] = {one.name: [] for one in contenders}
        for turn in range(_TURNS + 1):
            for one in contenders:
                found = await one.turn(callers, run.effort.seconds / 2, sent[one.name])
                if turn:
                    asked[one.name].append(found)
        for name, runs in asked.items():
            run.book.lines.append(_line(name, callers, ids, runs))
        told = ", ".join(f"{line.contender} {line.rate:,.0f}/s" for line in run.book.lines[-len(contenders) :])
        run.progress.tell(f"{callers} connections, {ids} IDs: {told}", (number + 1) / len(shapes))


def _line(name: str, callers: int, ids: int, runs: list[Asked]) -> LoadLine:
    times = np.concatenate([np.array(one.times) for one in runs])
    rate = sum(one.answered for one in runs) / sum(one.seconds for one in runs)
    return LoadLine(name, callers, ids, rate, quantile(times, 0.5), quantile(times, 0.99), times.size)


def _expected_s(effort: Effort, wanted: frozenset[str]) -> float:  # noqa: ARG001  # there is one row
    turns_s = (_TURNS + 1) * 5 * len(_CONTENDERS) * (effort.seconds / 2 + 0.1)
    return 3 + turns_s + effort.warm / 4_000


PART: Final = Part("by connections and IDs", frozenset({_ROW}), _expected_s, measure)
