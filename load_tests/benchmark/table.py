"""The result as Markdown for people and as a document for programs."""

import math
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import Any, Final

from load_tests.benchmark.book import Book, Finding, LoadLine
from load_tests.benchmark.effort import FULL, Effort
from load_tests.benchmark.rows import ROWS, Row
from load_tests.benchmark.throughput import CEILING_SHARE
from load_tests.report import number
from load_tests.verdict import Verdict, judge, reason

PLOT: Final = "latency.svg"
DASH: Final = "–"  # noqa: RUF001  # an en dash, as it stands between the ends of a range

_REASONS: Final = 5
"""So many wrong answers are told for each contender; the document has all."""

_MARKS: Final = {Verdict.PASS: "met", Verdict.FAIL: "**missed**", Verdict.VOID: "void"}


def markdown(book: Book, machine: Mapping[str, str], command: str, effort: Effort) -> str:
    """The whole report."""
    return (
        "\n".join(
            [
                "# Benchmark",
                "",
                *_how(machine, command, effort),
                "",
                *_figures(book, effort),
                *_ceiling(book),
                *_notes(book),
                *_load(book.lines),
                *_rates(book),
                *_soundness(book),
            ]
        ).rstrip()
        + "\n"
    )


def document(book: Book, machine: Mapping[str, str], command: str, effort: Effort) -> dict[str, Any]:
    """The same with every sample."""
    return {
        "command": command,
        "full": effort == FULL,
        "machine": dict(machine),
        "rows": [_row_document(row, book.findings.get(row.name)) for row in ROWS],
        "ceiling_requests_per_s": list(book.ceiling),
        "core_taken_by_others": book.neighbours,
        "load": [
            {
                "service": line.contender,
                "connections": line.callers,
                "ids": line.ids,
                "requests_per_s": line.rate,
                "p50_ms": line.p50_s * 1000,
                "p99_ms": line.p99_s * 1000,
                "answers": line.answers,
            }
            for line in book.lines
        ],
        "latency_over_rate": {
            name: [{"requests_per_s": p.offered, "p50_ms": p.p50_s * 1000, "p99_ms": p.p99_s * 1000} for p in points]
            for name, points in book.curves.items()
        },
        "soundness": {
            name: {"answers": one.answers, "failed": one.failed, "checked": one.checked, "wrong": one.wrong}
            for name, one in book.sound.items()
        },
    }


def _how(machine: Mapping[str, str], command: str, effort: Effort) -> Iterator[str]:
    told = ", ".join(f"{name} {text}" for name, text in machine.items())
    yield f"`{command}`: {told}."
    yield ""
    yield (
        f"Medians of {effort.repetitions} repetitions in which the contenders took turns, with the least and the most. "
        "Ratios, since absolute figures are a property of the machine."
    )
    if effort.short:
        yield ""
        yield "**A short run: it shows that everything works; its figures prove nothing and are not judged.**"


def _figures(book: Book, effort: Effort) -> Iterator[str]:
    if not book.findings:
        return
    yield "| figure | measured | bar | | far goal | |"
    yield "|---|---:|---:|---|---:|---|"
    for row in ROWS:
        found = book.findings.get(row.name)
        if found is not None:
            met, reached = _MARKS[judge(found.objective)], "reached" if found.far else "missed"
            if effort.short or found.void:
                met, reached = "void" if found.void else "", ""
            yield (
                f"| {row.figure} | {_measured(found)} | {_goal(row, row.bar)} | {met} "
                f"| {_goal(row, row.far)} | {reached} |"
            )


def _measured(found: Finding) -> str:
    unit = f" {found.row.unit}" if found.row.unit else ""
    spread = f" ({number(min(found.samples))}{DASH}{number(max(found.samples))})" if len(found.samples) > 1 else ""
    return f"{number(found.figure)}{unit}{spread}"


def _goal(row: Row, goal: float) -> str:
    unit = f" {row.unit}" if row.unit else ""
    return f"{'≤' if row.sense == '<=' else '≥'} {goal:g}{unit}"


def _ceiling(book: Book) -> Iterator[str]:
    if book.ceiling:
        yield ""
        yield (
            f"The closed loop gets {number(median(book.ceiling))} "
            f"({number(min(book.ceiling))}{DASH}{number(max(book.ceiling))}) requests/s of a constant "
            f"as a raw ASGI app under the same uvicorn; rates above {CEILING_SHARE:.0%} of that are void."
        )
    if book.neighbours:
        shares = ", ".join(f"{name} {median(found):.0%}" for name, found in book.neighbours.items())
        yield f"Of their core others took: {shares}."


def _notes(book: Book) -> Iterator[str]:
    """What the ratios were made of, what one must know, and why something is void."""
    if book.findings:
        yield ""
        yield "What they are made of (medians):"
        yield ""
    for row in ROWS:
        found = book.findings.get(row.name)
        if found is not None:
            raw = [f"{name} {number(median(samples))}" for name, samples in found.raw.items()]
            why = reason(found.objective)
            told = [*raw, *([found.note] if found.note else []), *([f"void: {why}"] if why else [])]
            yield f"- `{row.name}`: {'; '.join(told)}"


def _load(lines: Iterable[LoadLine]) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield "## By connections and by IDs per request"
    yield ""
    yield (
        "Closed loop: every connection asks again as soon as it is answered, so these are the times of a service "
        "that is never asked for more than it does."
    )
    yield ""
    yield "| bundle | connections | IDs | requests/s | p50 | p99 |"
    yield "|---|---:|---:|---:|---:|---:|"
    for line in lines:
        times = f"{number(line.p50_s * 1000)} ms | {number(line.p99_s * 1000)} ms"
        yield f"| {line.contender} | {line.callers} | {line.ids:,} | {number(line.rate)} | {times} |"


def _rates(book: Book) -> Iterator[str]:
    if book.curves:
        yield ""
        yield "## Latency over the rate"
        yield ""
        yield "Open loop: Poisson arrivals, latency from when each request was due."
        yield ""
        yield f"![p50 and p99 over requests/s]({PLOT})"


def _soundness(book: Book) -> Iterator[str]:
    if book.sound:
        yield ""
        yield "## Answers"
        yield ""
        yield "| contender | answers | not 200 | checked | wrong |"
        yield "|---|---:|---:|---:|---:|"
        for name, one in book.sound.items():
            failed = ", ".join(f"{count:,} {what}" for what, count in one.failed.items()) or "0"
            yield f"| {name} | {one.answers:,} | {failed} | {one.checked:,} | {len(one.wrong)} |"
        for name, one in book.sound.items():
            yield from (f"\n{name}: {text}" for text in one.wrong[:_REASONS])


def _row_document(row: Row, found: Finding | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": row.name,
        "figure": row.figure,
        "unit": row.unit,
        "sense": row.sense,
        "bar": row.bar,
        "far_goal": row.far,
    }
    if found is not None:
        told |= {
            "measured": None if math.isnan(found.figure) else found.figure,
            "least": min(found.samples),
            "most": max(found.samples),
            "verdict": judge(found.objective).value,
            "far_goal_reached": found.far,
            "samples": list(found.samples),
            "raw": {name: list(samples) for name, samples in found.raw.items()},
            "note": found.note,
            "void": found.void,
        }
    return told
