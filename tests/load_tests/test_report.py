import re

import pytest

from load_tests import report
from load_tests.arrivals import stages
from load_tests.objectives import at_least, at_most, impossible, none_of
from load_tests.profiles.base import Options, Profile, RatePoint, Results
from load_tests.simulation import simulate, simulate_rate


async def _nothing(_: Options) -> Results:
    return Results()


PROFILE = Profile("overload", "more than it can do", "everything <is> admitted", _nothing)


@pytest.fixture(scope="module")
def results() -> Results:
    return Results(
        objectives=[
            at_least("goodput", 930.2, 760, "/s"),
            at_most("refusals p99", 27.4, 20, "ms"),
            none_of("wrong", 0, 600),
        ],
        runs={"2 C between 0.5 C": simulate(stages([(500, 2), (2000, 3), (500, 2)], 1), 7)},
        rates={"cold": [RatePoint.of(simulate_rate(500, 1)), RatePoint.of(simulate_rate(2000, 1), 760.0)]},
        facts={"C (cold)": "970 requests/s"},
    )


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return report.page(PROFILE, Options(seed=7, short=True, control=True), results, 12.0)


def test_the_page_needs_nothing_beside_itself(page: str) -> None:
    assert not re.search(r"<(script|link|img)|url\((?!#)|@import", page)
    assert page.count("<svg") == 3


def test_the_page_says_what_each_objective_came_to(page: str) -> None:
    assert page.count("<span class='badge pass'>PASS</span>") == 2
    assert page.count("<span class='badge fail'>FAIL</span>") == 1
    assert "1 missed of 3 objectives" in page
    assert "rate below 0.005 at 95 %" in page
    assert "seed 7" in page


def test_a_control_and_a_short_run_say_so(page: str) -> None:
    assert "everything &lt;is&gt; admitted" in page
    assert "Short run" in page


def test_a_void_profile_has_a_page_that_says_why() -> None:
    page = report.page(PROFILE, Options(), Results([impossible("a quiet machine", "too noisy")]), 1.0)
    assert "VOID" in page
    assert "too noisy" in page


def test_drawings_do_not_share_ids(page: str) -> None:
    clips = re.findall(r'<clipPath id="(\w+)"', page)
    assert clips
    assert len(clips) == len(set(clips))


def test_a_line_of_text_tells_figure_bar_and_bound() -> None:
    assert report.sentence(at_most("p99", 27.43, 20, "ms")) == "p99: 27.4 ms (bar: <= 20 ms)"
    told = report.sentence(none_of("wrong answers", 0, 100_000))
    assert told == "wrong answers: 0 of 100,000 (bar: <= 0), rate below 3e-05 at 95 %"
