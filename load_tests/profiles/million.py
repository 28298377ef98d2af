"""A million distinct IDs through a cache of 100,000 rows: what is forgotten must give its memory back.

The IDs come in batches of 100, each asked for once, so every row is read, cached and displaced.
"""

from collections.abc import Iterator
from typing import Final

from load_tests.asking import SIMPLE, ask
from load_tests.bench import Bench
from load_tests.bundles import plain_key
from load_tests.closed_loop import Asked, ask_all
from load_tests.objectives import at_least, at_most, none_of
from load_tests.profiles.base import Options, Profile, Results, say
from load_tests.sizing import settings_for
from load_tests.watching import sample

IDS: Final = 1_000_000
CACHE_ROWS: Final = 100_000
SETTLED: Final = 200_000
"""From here on the cache is full twice over; what grows after that is a leak."""
GROWTH_BAR_MIB: Final = 25.0
BATCH: Final = 100

_CALLERS: Final = 4
_STEPS: Final = 20
_SHORT: Final = 100
"""A short run has a hundredth of everything."""


async def run(options: Options) -> Results:
    """All IDs once, with a look at the memory after each twentieth."""
    part = _SHORT if options.short else 1
    ids, rows, settled = IDS // part, CACHE_ROWS // part, SETTLED // part
    settings = {"KEYSCORE_CACHE_ROWS": "10000000" if options.control else str(rows)}
    results = Results()
    statuses: dict[int, int] = {}
    memory: dict[int, float] = {}
    async with Bench.start(entities=ids, seed=options.seed, service_env=settings_for(options, settings)) as bench:
        for first in range(0, ids, ids // _STEPS):
            last = first + ids // _STEPS
            asked = await ask_all(bench.address, _batches(first, last), _CALLERS)
            for status, count in asked.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
            memory[last] = sample(bench.service_pids[0]).rss_mib
            say(f"{last:,} IDs: {memory[last]:.0f} MiB, {(last - first) / asked.seconds:,.0f} IDs/s")
        cached = max(value for name, value in (await bench.metrics()).items() if name.startswith("keyscore_cache_rows"))
    done = Asked(statuses)
    results.facts["memory"] = ", ".join(f"{mib:.0f} MiB at {at:,}" for at, mib in memory.items())
    results.facts["rows in cache at the end"] = f"{cached:,.0f}"
    results.objectives = [
        at_least("batches answered with 200", done.answered, ids // BATCH),
        at_most("rows in cache at the end", cached, rows),
        at_most(f"growth of memory after {settled:,} IDs", memory[ids] - memory[settled], GROWTH_BAR_MIB, "MiB"),
        none_of("batches that failed", done.total - done.answered, done.total),
    ]
    return results


def _batches(first: int, last: int) -> Iterator[bytes]:
    for begin in range(first, last, BATCH):
        yield ask(SIMPLE, [plain_key(number) for number in range(begin, begin + BATCH)], f"million-{begin}")


PROFILE: Final = Profile(
    name="million",
    summary="a million distinct IDs through a cache of 100,000 rows: at most 25 MiB of growth after the first 200,000",
    control="KEYSCORE_CACHE_ROWS=10000000: nothing is ever displaced",
    run=run,
    timed=False,
)
