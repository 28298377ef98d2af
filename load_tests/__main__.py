"""`python -m load_tests PROFILE`: runs one profile and says whether its objectives were met.

Standard output gets one line of JSON per objective and nothing else; progress goes to standard error.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import uvloop

from load_tests import report
from load_tests.alone import claimed
from load_tests.capacity import NotMeasurable
from load_tests.noise import too_noisy
from load_tests.objectives import impossible
from load_tests.profiles.base import Options, Profile, Results, everything, load, names, say
from load_tests.verdict import EXIT_CODES, Verdict, control_exit_code, json_line, judge, overall

_REPORT: Final = Path("var/load/REPORT.html")
_EPILOG: Final = """\
exit codes: 0 all objectives met, 1 one missed, 2 void (nothing can be said: the generator or the machine was too slow)
with --control: 0 the broken service was found out, 1 it was not, 2 void
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m load_tests",
        description="Run a load profile against a service started for it, and judge it by stated objectives.",
        epilog="profiles:\n" + _profile_list() + "\n" + _EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("profile", metavar="PROFILE", choices=names(), help="one of those below")
    found.add_argument(
        "--short", action="store_true", help="seconds in place of minutes; shows that it runs, proves little"
    )
    found.add_argument(
        "--control", action="store_true", help="break the service in the profile's way and expect a miss"
    )
    found.add_argument("--seed", type=int, default=None, help="of arrivals, keys and faults (default: from the clock)")
    found.add_argument("--report", type=Path, default=_REPORT, help="where the HTML page goes (default: %(default)s)")
    found.add_argument("--noisy", action="store_true", help="go on though the machine is too noisy to judge on")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a profile; the exit code says what came of it."""
    chosen = parser().parse_args(arguments)
    profile = load(chosen.profile)
    seed = int(time.time()) % 1_000_000 if chosen.seed is None else chosen.seed
    options = Options(seed=seed, short=chosen.short, control=chosen.control)
    say(f"{profile.name}: {profile.summary}\nseed {seed}{_broken(profile, options)}")
    begun = time.monotonic()
    with nullcontext() if chosen.short else claimed() as taken:
        noise = taken or (too_noisy() if profile.timed else None)
        if noise and not (chosen.noisy or chosen.short):
            results = Results([impossible("a quiet machine", noise)])
        else:
            try:
                results = results_of(profile, options)
            except (KeyboardInterrupt, asyncio.CancelledError):
                say("ended before it was over: nothing can be said")
                return EXIT_CODES[Verdict.VOID]
            if noise:
                results.facts["machine"] = noise
    tell(profile, options, results, chosen.report, time.monotonic() - begun)
    return control_exit_code(results.objectives) if options.control else EXIT_CODES[overall(results.objectives)]


def results_of(profile: Profile, options: Options) -> Results:
    """What the profile finds; void where no capacity can be found."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(profile.run(options))
        except NotMeasurable as error:
            return Results([impossible("a capacity to judge by", str(error))])


def tell(profile: Profile, options: Options, results: Results, page: Path, elapsed_s: float) -> None:
    """Lines for programs on standard output, a table for people on standard error, a page for both."""
    for objective in results.objectives:
        sys.stdout.write(json_line(profile.name, options.seed, objective) + "\n")
    sys.stdout.flush()
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(report.page(profile, options, results, elapsed_s), encoding="utf-8")
    for name, fact in results.facts.items():
        say(f"  {name}: {fact}")
    for objective in results.objectives:
        say(f"  {judge(objective).value}  {report.sentence(objective)}")
    found = overall(results.objectives)
    missed = sum(judge(objective) is Verdict.FAIL for objective in results.objectives)
    say(f"{found.value}: {missed} of {len(results.objectives)} objectives missed, in {elapsed_s:.0f} s; see {page}")


def _broken(profile: Profile, options: Options) -> str:
    return f"\nnegative control, a miss is expected: {profile.control}" if options.control else ""


def _profile_list() -> str:
    return "".join(f"  {name:<12} {profile.summary}\n" for name, profile in everything().items())


if __name__ == "__main__":
    sys.exit(main())
