"""Verdicts: objectives judged, told as lines of JSON and as an exit code.

A run whose generator lagged measured the generator: VOID, whatever its figures. A run in which requests could not be
sent was easier for the service than stated: it can fail, it cannot pass.
"""

import json
import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

from load_tests.objectives import Objective


class Verdict(StrEnum):
    """What an objective, or a whole profile, came to."""

    PASS = "PASS"  # noqa: S105  # no password
    FAIL = "FAIL"
    VOID = "VOID"


EXIT_CODES: Final = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.VOID: 2}


def judge(objective: Objective) -> Verdict:
    """The verdict on one objective."""
    if objective.void or math.isnan(objective.figure) or math.isnan(objective.bar):
        return Verdict.VOID
    if not objective.met:
        return Verdict.FAIL
    return Verdict.VOID if objective.eased else Verdict.PASS


def overall(objectives: Iterable[Objective]) -> Verdict:
    """The verdict on all: one miss fails, else one void makes void; nothing at all proves nothing."""
    verdicts = {judge(objective) for objective in objectives}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.PASS if verdicts == {Verdict.PASS} else Verdict.VOID


def control_exit_code(objectives: Sequence[Objective]) -> int:
    """Exit code of a negative control: 0 if the broken service was found out, 1 if it passed, 2 if nobody can tell."""
    return {Verdict.FAIL: 0, Verdict.PASS: 1, Verdict.VOID: 2}[overall(objectives)]


def reason(objective: Objective) -> str | None:
    """Why an objective is void, if it is."""
    if judge(objective) is not Verdict.VOID:
        return None
    return objective.void or objective.eased or "nothing was measured"


def json_line(profile: str, seed: int, objective: Objective) -> str:
    """One objective and its verdict as one line of JSON."""
    line: dict[str, Any] = {
        "profile": profile,
        "objective": objective.name,
        "verdict": judge(objective).value,
        "figure": _number(objective.figure),
        "sense": objective.sense,
        "bar": _number(objective.bar),
        "unit": objective.unit,
        "seed": seed,
    }
    if objective.of is not None:
        line["of"] = objective.of
    if objective.upper_bound is not None:
        line["rate_below_at_95"] = _number(objective.upper_bound)
    if (why := reason(objective)) is not None:
        line["reason"] = why
    return json.dumps(line)


def _number(value: float) -> float | None:
    """Five significant digits; null for NaN and infinity, which JSON lacks."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
