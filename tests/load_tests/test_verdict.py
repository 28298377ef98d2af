import json
import math

import numpy as np
import pytest

from load_tests.arrivals import poisson
from load_tests.objectives import Objective, at_least, at_most, impossible, none_of
from load_tests.simulation import simulate
from load_tests.verdict import EXIT_CODES, Verdict, control_exit_code, json_line, judge, overall

MET, MISSED, VOID = at_most("met", 1, 2), at_most("missed", 3, 2), impossible("void", "because")

TIMES = poisson(100, 5, seed=1)


@pytest.mark.parametrize(
    ("objective", "verdict"),
    [
        (at_most("figure", 19.9, 20), Verdict.PASS),
        (at_most("figure", 20, 20), Verdict.PASS),
        (at_most("figure", 20.1, 20), Verdict.FAIL),
        (at_least("figure", 20, 20), Verdict.PASS),
        (at_least("figure", 19.9, 20), Verdict.FAIL),
        (none_of("wrong answers", 0, 10), Verdict.PASS),
        (none_of("wrong answers", 1, 10), Verdict.FAIL),
        (none_of("wrong answers", 0, 0), Verdict.VOID),
        (at_most("figure", math.nan, 20), Verdict.VOID),
        (at_most("figure", 1, math.nan), Verdict.VOID),
        (at_most("figure", math.inf, 20), Verdict.FAIL),
        (impossible("figure", "too noisy"), Verdict.VOID),
    ],
)
def test_a_figure_is_judged_by_its_bar(objective: Objective, verdict: Verdict) -> None:
    assert judge(objective) is verdict


@pytest.mark.parametrize("figure", [1.0, 30.0])
def test_a_run_whose_generator_lagged_is_void_whatever_its_figures(figure: float) -> None:
    lagged = simulate(TIMES, 5, lag_s=0.006)
    objective = at_most("figure", figure, 20, runs=[simulate(TIMES, 5), lagged])
    assert judge(objective) is Verdict.VOID
    assert "send lag p99 is 6.0 ms" in str(objective.void)


def test_a_send_lag_of_less_than_the_bar_is_no_reason() -> None:
    assert judge(at_most("figure", 1, 20, runs=[simulate(TIMES, 5, lag_s=0.004)])) is Verdict.PASS


def test_a_run_with_unsent_requests_can_fail_and_cannot_pass() -> None:
    eased = simulate(TIMES, 5, unsent=3)
    assert judge(at_most("figure", 1, 20, runs=[eased])) is Verdict.VOID
    assert judge(at_most("figure", 30, 20, runs=[eased])) is Verdict.FAIL


def test_a_run_without_arrivals_proves_nothing() -> None:
    assert judge(at_most("figure", 1, 20, runs=[simulate(np.array([]), 5)])) is Verdict.VOID


@pytest.mark.parametrize(
    ("objectives", "verdict", "code", "control"),
    [
        ([MET, MET], Verdict.PASS, 0, 1),
        ([MET, MISSED], Verdict.FAIL, 1, 0),
        ([MET, VOID], Verdict.VOID, 2, 2),
        ([MISSED, VOID], Verdict.FAIL, 1, 0),
        ([], Verdict.VOID, 2, 2),
    ],
)
def test_exit_codes_say_what_all_came_to(
    objectives: list[Objective], verdict: Verdict, code: int, control: int
) -> None:
    assert overall(objectives) is verdict
    assert EXIT_CODES[verdict] == code
    assert control_exit_code(objectives) == control


def test_zero_of_n_is_told_with_what_it_bounds() -> None:
    line = json.loads(json_line("chaos", 7, none_of("wrong answers", 0, 100_000)))
    assert line["verdict"] == "PASS"
    assert line["of"] == 100_000
    assert line["rate_below_at_95"] == pytest.approx(3e-5)
    assert line["seed"] == 7


def test_a_void_line_says_why_and_is_json() -> None:
    line = json.loads(json_line("overload", 1, at_most("figure", math.nan, 20, "ms")))
    assert line["figure"] is None
    assert line["reason"] == "nothing was measured"


def test_a_line_of_what_never_came_fails_and_is_json() -> None:
    line = json.loads(json_line("workers", 1, at_most("figure", math.inf, 3, "s")))
    assert (line["verdict"], line["figure"]) == ("FAIL", None)
