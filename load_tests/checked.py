"""The load of most profiles: one kind of request at one rate, some of whose answers the oracle looks at."""

from typing import Final

from load_tests.bench import Bench
from load_tests.generator import run_load
from load_tests.outcome import Outcome
from load_tests.profiles.base import Options
from load_tests.sizing import limits_for

_PATIENCE_S: Final = 5.0
_SPARE: Final = 100


async def checked_load(
    bench: Bench, kind: str, rate: float, seconds: float, options: Options, *, check_every: int = 10
) -> Outcome:
    """What became of the requests.

    Args:
        bench: What is asked: its first service.
        kind: Of requests, see `asking.KINDS`.
        rate: Requests per second.
        seconds: For so long.
        options: How the profile is run.
        check_every: One in so many answers is checked.
    """
    return await run_load(
        bench.address,
        bench.maker(kind, int(rate * seconds * 2) + _SPARE),
        rate=rate,
        seconds=seconds,
        seed=options.seed,
        check=bench.oracle.check,
        check_every=check_every,
        limits=limits_for(options, _PATIENCE_S),
    )
