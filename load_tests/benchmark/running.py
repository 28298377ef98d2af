"""A run: its parts one after the other, each of which fills in some rows of the book."""

import sys
import tempfile
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from load_tests import processes
from load_tests.benchmark.book import Book
from load_tests.benchmark.effort import Effort
from load_tests.benchmark.field import Field
from load_tests.benchmark.material import Material
from load_tests.benchmark.progress import Progress
from load_tests.processes import LOAD_CORE, pinned


@dataclass(frozen=True, slots=True)
class Run:
    """What a part is given.

    Attributes:
        wanted: Names of the rows and sections that are asked for.
        effort: How much is done.
        field: The contenders.
        material: What is served.
        book: Takes what is found.
        progress: Told what is going on.
        scratch: A folder for what is not kept.
    """

    wanted: frozenset[str]
    effort: Effort
    field: Field
    material: Material
    book: Book
    progress: Progress
    scratch: Path


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the run.

    Attributes:
        name: What it is called while it runs.
        rows: The rows and sections that it fills in.
        expected_s: How long it takes, by the effort and what is wanted.
        measure: Does it.
    """

    name: str
    rows: frozenset[str]
    expected_s: Callable[[Effort, frozenset[str]], float]
    measure: Callable[[Run], Awaitable[None]]


def say(text: str) -> None:
    """Progress, for whoever waits."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


async def measured(
    parts: Sequence[Part],
    wanted: Collection[str],
    effort: Effort,
    *,
    seed: int = 1,
    make: Callable[[Effort, Path], Material] | None = None,
) -> Book:
    """Everything that is wanted.

    Args:
        parts: The parts that there are.
        wanted: Names of rows and sections.
        effort: How much is done.
        seed: Of what is drawn.
        make: Makes what is served from the effort and a scratch folder, where it is not kept below `var/`.

    Raises:
        NotMeasurable: A service does not do what it must before anything can be measured.
        ProcessFailed: Something did not start.
    """
    names = frozenset(wanted)
    chosen = [part for part in parts if part.rows & names]
    book = Book()
    async with AsyncExitStack() as stack:
        stack.enter_context(processes.ended_in_order())
        stack.enter_context(pinned(LOAD_CORE))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        material = make(effort, scratch) if make is not None else Material(effort, scratch, say)
        field = Field(stack, material, effort, seed)
        progress = Progress({part.name: part.expected_s(effort, names & part.rows) for part in chosen}, say)
        run = Run(names, effort, field, material, book, progress, scratch)
        for part in chosen:
            progress.begin(part.name)
            await part.measure(run)
            book.sound.update({one.name: one.sound for one in field.contenders})
    return book
