"""What a terminal is told: results on stdout, progress and complaints on stderr.

rich leaves colours and cursor movements out where the output is no terminal.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

Walked = Callable[[int, float | None], None]
"""Told how many rows have been walked and which share of the file that is, None where its length is not known."""

_PLAIN_WIDTH: Final = (
    160  # where there is no terminal, lines are for a file or a pager: long ones are better than folded
)
_LINE_EVERY_S: Final = 5.0
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400


def output() -> Console:
    """The console for results."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)


def errors() -> Console:
    """The console for progress and complaints."""
    return Console(highlight=False, stderr=True, soft_wrap=True)


def complain(text: str) -> None:
    """One line that says what is wrong."""
    errors().print(f"[bold red]error:[/] {escape(text)}")


def note(text: str) -> None:
    """One line on the way."""
    errors().print(escape(text), style="dim")


def plain_table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """A table with these headings; those in `right` are aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def human_age(seconds: float | None) -> str:
    """An age as a person says it: `0.4 s`, `12 s`, `3 min`, `2.1 h`, `3.4 d`; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 10:  # noqa: PLR2004  # below ten seconds the tenths matter
        return f"{seconds:.1f} s"
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < _DAY_S:
        return f"{seconds / _HOUR_S:.1f} h"
    return f"{seconds / _DAY_S:.1f} d"


@contextmanager
def walking(what: str, before: Callable[[], int] = lambda: 0) -> Iterator[Walked]:
    """A bar with rows per second and the time left on a terminal, and otherwise a line every few seconds.

    Args:
        what: What is being done.
        before: How many of the rows were walked at another time, and count for no speed.
    """
    console = errors()
    if not console.is_terminal:
        yield _lines(what, before)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TextColumn("{task.fields[speed]:,.0f} rows/s"),
        TimeRemainingColumn(),
    )
    begun = time.monotonic()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=1.0, rows=0, speed=0.0)

        def advance(rows: int, share: float | None) -> None:
            speed = (rows - before()) / max(time.monotonic() - begun, 1e-3)
            bar.update(task, completed=share, total=None if share is None else 1.0, rows=rows, speed=speed)

        yield advance


def _lines(what: str, before: Callable[[], int]) -> Walked:
    begun = last = time.monotonic()
    first: tuple[float, float] | None = None

    def advance(rows: int, share: float | None) -> None:
        nonlocal last, first
        now = time.monotonic()
        if share is not None and first is None:
            first = now, share
        if now - last >= _LINE_EVERY_S:
            last = now
            done = "" if share is None else f" {share:.0%},"
            left = "" if share is None or first is None else _left(now - first[0], share - first[1], 1 - share)
            note(f"{what}: {rows:,} rows,{done} {(rows - before()) / (now - begun):,.0f} rows/s{left}")

    return advance


def _left(took_s: float, done: float, remaining: float) -> str:
    """How long it will go on, if that can be told from how long a share of it took."""
    return f", {human_age(took_s * remaining / done)} left" if done > 0 and remaining > 0 else ""
