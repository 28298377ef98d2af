"""What an entity of 50 floats costs in the cache: the service's growth while its cache grows, divided.

Everything is in it: the row, its key, the cache's own tables, what the allocator wastes and what reading leaves behind.
"""

from collections.abc import Iterator
from typing import Final

from load_tests.asking import PATIENT, SIMPLE, ask
from load_tests.bench import Bench
from load_tests.benchmark.book import Soundness
from load_tests.benchmark.contenders import examine
from load_tests.benchmark.effort import Effort
from load_tests.benchmark.running import Part, Run
from load_tests.bundles import plain_key
from load_tests.capacity import NotMeasurable
from load_tests.closed_loop import ask_all
from load_tests.profiles.base import Options
from load_tests.sizing import settings_for
from load_tests.watching import sample

_ROW: Final = "cache"
_BATCH: Final = 100
_CALLERS: Final = 4
_CHECK_EVERY: Final = 9
_SETTINGS: Final = {"KEYSCORE_CACHE_ROWS": "1000000"}  # more than is shipped, so that nothing is displaced


async def measure(run: Run) -> None:
    """Fills caches of services that are new each time."""
    first, last = run.effort.cached
    sound = run.book.sound.setdefault("50 floats", Soundness())
    settings = settings_for(Options(short=run.effort.short), _SETTINGS)
    growth: list[float] = []
    before: list[float] = []
    for number in range(run.effort.fillings):
        async with Bench.start(bundle=run.material.wide, service_env=settings) as bench:
            low = await _resident_kb(bench, sound, 0, first)
            high = await _resident_kb(bench, sound, first, last)
        before.append(low / 1000)
        growth.append((high - low) / (last - first))
        run.progress.tell(f"{growth[-1]:.2f} kB for each of {last - first:,}", (number + 1) / run.effort.fillings)
    note = f"growth of resident memory from {first:,} to {last:,} entities, store over gRPC"
    run.book.add(_ROW, growth, {"growth per entity, kB": growth, f"at {first:,} entities, MB": before}, note=note)


async def _resident_kb(bench: Bench, sound: Soundness, first: int, last: int) -> float:
    """Resident memory once these have been asked for, too."""
    asked = await ask_all(bench.address, _requests(first, last), _CALLERS, keep_every=_CHECK_EVERY)
    examine(asked, bench.oracle.check, sound)
    if asked.answered != asked.total:
        raise NotMeasurable(f"the cache cannot be filled: {asked.statuses}")
    return sample(bench.service_pids[0]).rss_mib * 2**20 / 1000


def _requests(first: int, last: int) -> Iterator[bytes]:
    for begin in range(first, last, _BATCH):
        yield ask(SIMPLE, [plain_key(number) for number in range(begin, begin + _BATCH)], None, PATIENT)


def _expected_s(effort: Effort, wanted: frozenset[str]) -> float:  # noqa: ARG001  # there is one row
    return effort.fillings * (3 + effort.cached[1] / 10_000)


PART: Final = Part("memory per entity", frozenset({_ROW}), _expected_s, measure)
