"""Workers: one of two is killed under load and replaced before anybody has to be called."""

import asyncio
import math
import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Final

import psutil

from load_tests.bench import Bench
from load_tests.generator import Address, run_load
from load_tests.objectives import Objective, at_most, none_of
from load_tests.outcome import Outcome
from load_tests.profiles.base import Options, Profile, Results, say
from load_tests.sizing import entities_for, limits_for, rate_at, settings_for, warm

REPLACED_BAR_S: Final = 3.0
LOST_BAR: Final = 64
"""Requests that a killed worker may take with it: what it had under way, at this rate by far not so many."""

_CALM_S: Final = 2.0
_CALM_BAR: Final = 0.1
"""Percent of errors in the last seconds of a run. While the new worker starts, it and the one that is left share core 0
here, so some are refused; refused is answered."""

_KIND: Final = "simple_warm"
_SHARE: Final = 0.4
_KILLS: Final = 5
_APART_S: Final = 8.0
_GIVE_UP_S: Final = 60.0
_PROBES: Final = 8


async def run(options: Options) -> Results:
    """Five kills under load."""
    results = Results()
    settings = {"KEYSCORE_WORKERS": "1" if options.control else "2"}
    kills = 1 if options.short else _KILLS
    async with Bench.start(
        entities=entities_for(options), seed=options.seed, service_env=settings_for(options, settings)
    ) as bench:
        rate = await rate_at(bench, _KIND, _SHARE, options)
        await warm(bench)
        for number in range(kills):
            seconds = options.seconds(_APART_S, 3.0)
            make = bench.maker(_KIND, int(rate * seconds * 2) + 100)
            killing = asyncio.create_task(_kill_one(bench, 1.0))
            outcome = await run_load(
                bench.address,
                make,
                rate=rate,
                seconds=seconds,
                seed=options.seed + number,
                check=bench.oracle.check,
                limits=limits_for(options, 5.0),
            )
            took_s = await killing
            name = f"kill {number + 1}"
            say(f"{name}: {outcome.counts()}, replaced after {took_s:.2f} s")
            results.runs[name] = outcome
            results.facts[name] = f"{outcome.counts()}; replaced after {took_s:.2f} s"
            results.objectives += objectives(name, outcome, took_s)
            if not options.short:
                results.objectives.append(calm(name, outcome))
            if not bench.services[0].alive:
                break
    return results


def objectives(name: str, outcome: Outcome, took_s: float) -> Iterator[Objective]:
    """What a kill may cost."""
    yield at_most(f"from SIGKILL to a new worker's first connection, {name}", took_s, REPLACED_BAR_S, "s")
    yield at_most(f"requests without an answer, {name}", _unanswered(outcome), LOST_BAR)
    yield none_of(f"wrong answers, {name}", len(outcome.wrong), outcome.checked)


def calm(name: str, outcome: Outcome) -> Objective:
    """In the end, nobody notices any more."""
    last = outcome.part(outcome.seconds - _CALM_S, outcome.seconds)
    return at_most(f"errors in the last {_CALM_S:g} s, {name}", 100 * last.error_share, _CALM_BAR, "%")


def _unanswered(outcome: Outcome) -> int:
    """Arrivals that got neither an answer nor a refusal."""
    return outcome.offered - int((outcome.accepted | outcome.refused).sum())


async def _kill_one(bench: Bench, after_s: float) -> float:
    """Seconds until another worker has a connection after one was killed; infinity if none ever has."""
    await asyncio.sleep(after_s)
    before = _workers(bench)
    victim = before[0] if before else bench.service_pids[0]
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    while time.monotonic() < began + _GIVE_UP_S and bench.services[0].alive:
        new = [pid for pid in _workers(bench) if pid not in before]
        if new and await _any_serves(new, bench.address):
            return time.monotonic() - began
        await asyncio.sleep(0.02)
    return math.inf


def _workers(bench: Bench) -> list[int]:
    """The processes that serve: children of the service that run it, too."""
    try:
        return [child.pid for child in psutil.Process(bench.service_pids[0]).children() if _lives(child)]
    except psutil.NoSuchProcess:
        return []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


async def _any_serves(pids: Sequence[int], address: Address) -> bool:
    """Whether one of a few new connections was taken by one of these processes."""
    opened = await asyncio.gather(*(asyncio.open_connection(*address) for _ in range(_PROBES)), return_exceptions=True)
    writers = [one[1] for one in opened if not isinstance(one, BaseException)]
    try:
        await asyncio.sleep(0.01)  # whoever is idle takes them
        mine = {writer.get_extra_info("sockname")[1] for writer in writers}
        return any(port in mine for pid in pids for port in _taken(pid))
    finally:
        for writer in writers:
            writer.close()


def _taken(pid: int) -> list[int]:
    """The ports at the other end of a process's connections."""
    try:
        return [one.raddr[1] for one in psutil.Process(pid).net_connections("tcp") if one.raddr]
    except psutil.Error:
        return []


PROFILE: Final = Profile(
    name="workers",
    summary="KEYSCORE_WORKERS=2 and SIGKILL for one of them under load: replaced within 3 s",
    control="KEYSCORE_WORKERS=1: there is nobody to replace the one that is killed",
    run=run,
)
