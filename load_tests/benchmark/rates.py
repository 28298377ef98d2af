"""Latency over the rate, open loop: requests leave when they are due, and latency counts from then."""

from typing import Final

from load_tests.arrivals import poisson
from load_tests.benchmark.contenders import CONNECTIONS, Contender
from load_tests.benchmark.effort import Effort
from load_tests.benchmark.running import Part, Run
from load_tests.generator import run_load
from load_tests.profiles.base import RatePoint

_ROW: Final = "rate"
_CONTENDERS: Final = ("plain", "demo")
_CHECK_EVERY: Final = 199


async def measure(run: Run) -> None:
    """Shares of what the closed loop gets, one after the other; a rate that the generator cannot keep is left out."""
    contenders = [await run.field.contender(name) for name in _CONTENDERS]
    most = {one.name: (await one.turn(CONNECTIONS, run.effort.seconds)).rate for one in contenders}
    for number, share in enumerate(run.effort.shares):
        for one in contenders:
            point = await _point(run, one, most[one.name] * share, number)
            if point is not None:
                run.book.curves.setdefault(one.name, []).append(point)
                told = f"{one.name} {point.offered:,.0f}/s: p50 {point.p50_s * 1e3:.1f}, p99 {point.p99_s * 1e3:.1f} ms"
                run.progress.tell(told, (number + 1) / len(run.effort.shares))


async def _point(run: Run, contender: Contender, rate: float, seed: int) -> RatePoint | None:
    await contender.warm_for(run.effort.rate_s)
    requests = contender.requests
    outcome = await run_load(
        contender.address,
        lambda number: requests[number % len(requests)],
        times=poisson(rate, run.effort.rate_s, seed),
        seconds=run.effort.rate_s,
        check=lambda request, status, headers, body, _: contender.check(request, status, headers, body),
        check_every=_CHECK_EVERY,
    )
    contender.sound.count({200: int(outcome.accepted.sum())})  # refusals are in order here
    contender.sound.checked += outcome.checked
    contender.sound.wrong += [one.reason for one in outcome.wrong]
    if outcome.void is not None:
        run.progress.tell(f"{contender.name} {rate:,.0f}/s: {outcome.void}", seed / len(run.effort.shares))
        return None
    return RatePoint.of(outcome)


def _expected_s(effort: Effort, wanted: frozenset[str]) -> float:  # noqa: ARG001  # there is one row
    turns_s = len(_CONTENDERS) * (effort.seconds + len(effort.shares) * (effort.rate_s + 0.7))
    return 3 + turns_s + effort.warm / 4_000 * (1 + turns_s / 40)


PART: Final = Part("latency over rate", frozenset({_ROW}), _expected_s, measure)
