"""The report: one HTML page that needs nothing beside itself."""

import html
import math
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Final

from load_tests import plots
from load_tests.objectives import Objective
from load_tests.outcome import Outcome
from load_tests.profiles.base import Options, Profile, Results
from load_tests.verdict import Verdict, judge, overall, reason

_PAGE: Final = Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8"))


def page(profile: Profile, options: Options, results: Results, elapsed_s: float) -> str:
    """The report on one run of a profile."""
    verdict = overall(results.objectives)
    return _PAGE.substitute(
        name=html.escape(profile.name),
        summary=html.escape(profile.summary),
        verdict=verdict.value,
        verdict_class=verdict.value.lower(),
        verdict_text=html.escape(_verdict_text(results, verdict)),
        mode=_mode(profile, options),
        when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        elapsed=f"{elapsed_s:.0f} s",
        seed=options.seed,
        objectives="\n".join(map(_row, results.objectives)),
        facts="\n".join(_fact(name, fact) for name, fact in results.facts.items()),
        rates="\n".join(_card(f"By rate: {name}", plots.over_rate(points)) for name, points in results.rates.items()),
        runs="\n".join(_run(name, outcome) for name, outcome in results.runs.items() if outcome.offered),
    )


def sentence(objective: Objective) -> str:
    """An objective, its figure and its bar in a line of text."""
    unit = f" {objective.unit}" if objective.unit else ""
    count = f" of {objective.of:,}" if objective.of else ""
    figure, bar = number(objective.figure), number(objective.bar)
    told = f"{objective.name}: {figure}{count}{unit} (bar: {objective.sense} {bar}{unit})"
    return ", ".join([told, *_notes(objective)])


def number(value: float) -> str:
    """A figure as people read it: three digits or all before the point, a dash for none."""
    if math.isnan(value):
        return "–"  # noqa: RUF001  # the dash that is meant
    if math.isinf(value):
        return "∞"
    if value == int(value) or abs(value) >= 1000:  # noqa: PLR2004  # from there on no decimals
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _notes(objective: Objective) -> list[str]:
    notes = []
    if objective.upper_bound is not None:
        notes.append(f"rate below {objective.upper_bound:.1g} at 95 %")
    if (why := reason(objective)) is not None:
        notes.append(why)
    return notes


def _verdict_text(results: Results, verdict: Verdict) -> str:
    total = len(results.objectives)
    missed = sum(judge(objective) is Verdict.FAIL for objective in results.objectives)
    void = sum(judge(objective) is Verdict.VOID for objective in results.objectives)
    if verdict is Verdict.PASS:
        return f"all {total} objectives met"
    parts = [f"{missed} missed"] if missed else []
    return ", ".join([*parts, *([f"{void} void"] if void else [])]) + f" of {total} objectives"


def _mode(profile: Profile, options: Options) -> str:
    found = []
    if options.control:
        found.append(
            f"<p class='banner'><b>Negative control.</b> The service is broken on purpose: "
            f"{html.escape(profile.control)}. Objectives must be missed.</p>"
        )
    if options.short:
        found.append(
            "<p class='banner'><b>Short run.</b> It shows that everything works; its figures prove little.</p>"
        )
    return "\n".join(found)


def _row(objective: Objective) -> str:
    verdict = judge(objective)
    count = f" <span class='muted'>of {objective.of:,}</span>" if objective.of else ""
    bar = f"{'≤' if objective.sense == '<=' else '≥'} {number(objective.bar)}"
    return (
        f"<tr><td><span class='badge {verdict.value.lower()}'>{verdict.value}</span></td>"
        f"<td>{html.escape(objective.name)}</td>"
        f"<td class='number'>{number(objective.figure)}{count}</td><td class='number'>{bar}</td>"
        f"<td>{html.escape(objective.unit)}</td><td class='muted'>{html.escape('; '.join(_notes(objective)))}</td></tr>"
    )


def _fact(name: str, fact: str) -> str:
    return f"<tr><td>{html.escape(name)}</td><td>{html.escape(fact)}</td></tr>"


def _run(name: str, outcome: Outcome) -> str:
    counts = ", ".join(f"{status}: {count:,}" for status, count in outcome.counts().items())
    told = (
        f"{outcome.offered:,} requests in {outcome.seconds:g} s ({html.escape(counts)}); "
        f"goodput {outcome.goodput:,.0f}/s; send lag p99 {outcome.lag_p99_s * 1000:.1f} ms; "
        f"{len(outcome.wrong)} wrong of {outcome.checked:,} checked"
    )
    wrong = "".join(f"<li>{html.escape(one.reason)}</li>" for one in outcome.wrong[:5])
    body = f"<p class='muted'>{told}</p>{f'<ul>{wrong}</ul>' if wrong else ''}"
    return _card(name, plots.over_time(outcome) + plots.percentiles(outcome), body)


def _card(title: str, drawing: str, text: str = "") -> str:
    return f"<section class='card'><h2>{html.escape(title)}</h2>{text}{drawing}</section>"
