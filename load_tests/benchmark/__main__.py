"""`python -m load_tests.benchmark`: measures everything that a bar was stated for, and says which bars are met.

Standard output gets the table; progress goes to standard error.
"""

import argparse
import asyncio
import dataclasses
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import orjson
import uvloop

from load_tests import plots
from load_tests.alone import claimed
from load_tests.benchmark import (
    against_naive,
    batches,
    cold,
    load,
    machine,
    memory,
    offline,
    rates,
    starting,
    table,
    throughput,
)
from load_tests.benchmark.book import Book
from load_tests.benchmark.effort import FULL, SHORT, Effort
from load_tests.benchmark.rows import BY_NAME, ROWS, SECTIONS
from load_tests.benchmark.running import Part, measured, say
from load_tests.capacity import NotMeasurable
from load_tests.noise import too_noisy
from load_tests.objectives import Objective
from load_tests.processes import ProcessFailed
from load_tests.report import sentence
from load_tests.verdict import EXIT_CODES, Verdict, judge, overall

PARTS: Final[tuple[Part, ...]] = (
    throughput.PART,
    batches.PART,
    cold.PART,
    against_naive.PART,
    offline.PART,
    load.PART,
    rates.PART,
    starting.PART,
    memory.PART,
)

_FOLDER: Final = Path("var/bench")
_SECTIONS: Final = """\
  load             by connections and by IDs per request
  rate             latency over the rate
"""
_EPILOG: Final = """\
exit codes: 0 every bar is met, 1 one is missed, 2 void (nothing can be said); far goals count for nothing.
A short run is not judged: 0 if everybody answered, and rightly.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    rows = "".join(f"  {row.name:<16} {row.figure}\n" for row in ROWS)
    found = argparse.ArgumentParser(
        prog="python -m load_tests.benchmark",
        description="Measure the service against hello world, the obvious service, CatBoost and the store alone.",
        epilog=f"rows:\n{rows}{_SECTIONS}\n{_EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("--short", action="store_true", help="seconds of everything, to see that it works")
    found.add_argument(
        "--only", nargs="+", metavar="ROW", choices=[*BY_NAME, *SECTIONS], default=None, help="one of those below"
    )
    found.add_argument("--repeats", type=int, metavar="N", help="repetitions (default: 6; 2 in a short run)")
    found.add_argument("--markdown", type=Path, metavar="PATH", default=_FOLDER / "REPORT.md", help="the table")
    found.add_argument("--json", type=Path, metavar="PATH", default=_FOLDER / "report.json", help="it with all samples")
    found.add_argument("--plot", type=Path, metavar="PATH", default=_FOLDER / table.PLOT, help="latency over the rate")
    found.add_argument("--seed", type=int, default=1, help="of what is drawn (default: %(default)s)")
    found.add_argument("--noisy", action="store_true", help="go on though the machine is too noisy to judge on")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code says what came of it."""
    chosen = parser().parse_args(arguments)
    effort = SHORT if chosen.short else FULL
    if chosen.repeats is not None:
        effort = dataclasses.replace(effort, repetitions=max(chosen.repeats, 1))
    with nullcontext() if chosen.short else claimed() as taken:
        noise = taken or too_noisy()
        if noise is not None:
            say(noise)
            if not (chosen.noisy or chosen.short):
                return EXIT_CODES[Verdict.VOID]
        wanted = chosen.only or [*BY_NAME, *SECTIONS]
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                book = runner.run(measured(PARTS, wanted, effort, seed=chosen.seed))
        except (NotMeasurable, ProcessFailed) as error:
            say(f"VOID: {error}")
            return EXIT_CODES[Verdict.VOID]
        except (KeyboardInterrupt, asyncio.CancelledError):
            say("ended before it was over: nothing can be said")
            return EXIT_CODES[Verdict.VOID]
    command = " ".join(["make bench", *_handed_on(arguments)])
    tell(book, effort, command, Outputs(chosen.markdown, chosen.json, chosen.plot))
    return exit_code(book, effort)


@dataclasses.dataclass(frozen=True, slots=True)
class Outputs:
    """Where the results go.

    Attributes:
        markdown: The table.
        document: The same with all samples.
        plot: Latency over the rate.
    """

    markdown: Path
    document: Path
    plot: Path


def tell(book: Book, effort: Effort, command: str, outputs: Outputs) -> None:
    """The table on standard output and in its file, the rest in theirs; what was missed at the end."""
    made_on = machine.describe()
    text = table.markdown(book, made_on, command, effort)
    sys.stdout.write(text)
    sys.stdout.flush()
    _write(outputs.markdown, text.encode())
    _write(outputs.document, orjson.dumps(table.document(book, made_on, command, effort), option=orjson.OPT_INDENT_2))
    if book.curves:
        _write(outputs.plot, plots.latency_over_rate(book.curves).encode())
    for objective in judged(book, effort):
        if judge(objective) is not Verdict.PASS:
            say(f"  {judge(objective).value}  {sentence(objective)}")


def judged(book: Book, effort: Effort) -> list[Objective]:
    """What the run is judged by: that everybody answered, and rightly; the bars, too, unless it was a short one."""
    return [*([] if effort.short else book.objectives()), *book.soundness()]


def exit_code(book: Book, effort: Effort) -> int:
    """0 if everything was met, 1 if something was missed, 2 if nothing can be said."""
    found = judged(book, effort)
    return EXIT_CODES[overall(found)] if found else 0  # a short run of starts only: they did start


def _handed_on(arguments: Sequence[str] | None) -> list[str]:
    given = sys.argv[1:] if arguments is None else list(arguments)
    return [f'ARGS="{" ".join(given)}"'] if given else []


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
