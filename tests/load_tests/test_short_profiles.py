"""Short forms of the profiles, which count and do not time; and controls that turn them red."""

import math
from collections.abc import Mapping

import pytest

from load_tests.bundles import Served
from load_tests.objectives import Objective
from load_tests.profiles import chaos, drain, hostile, million
from load_tests.profiles.base import Options, everything, load
from load_tests.verdict import Verdict, judge, overall

pytestmark = pytest.mark.anyio

SHORT = Options(seed=11, short=True)
BROKEN = Options(seed=11, short=True, control=True)


def missed(objectives: list[Objective]) -> list[str]:
    return [one.name for one in objectives if judge(one) is Verdict.FAIL]


def counts(objectives: list[Objective]) -> Mapping[str, Objective]:
    """Those that tell of numbers and not of times."""
    return {one.name: one for one in objectives if one.unit != "s"}


def not_met(objectives: list[Objective]) -> list[str]:
    """Those that count and are missed or counted nothing; a generator that lagged has counted all the same."""
    return [name for name, one in counts(objectives).items() if not one.met or one.of == 0]


async def test_displaced_rows_are_forgotten() -> None:
    assert overall((await million.run(SHORT)).objectives) is Verdict.PASS


async def test_rows_that_are_never_displaced_are_found_out() -> None:
    assert "rows in cache at the end" in missed((await million.run(BROKEN)).objectives)


async def test_nobody_loses_a_request_to_a_service_that_is_told_to_stop() -> None:
    assert missed(list(counts((await drain.run(SHORT)).objectives).values())) == []


async def test_chaos_makes_no_answer_wrong(demo_served: Served) -> None:
    found = await chaos.run_on(demo_served, SHORT)
    assert missed(found.objectives) == []
    assert counts(found.objectives)["wrong or unflagged answers"].of


async def test_values_changed_behind_the_oracles_back_are_found_out(demo_served: Served) -> None:
    assert "wrong or unflagged answers" in missed((await chaos.run_on(demo_served, BROKEN)).objectives)


@pytest.mark.parametrize("name", ["batch", "slowloris", "soak", "telemetry", "workers"])
async def test_a_short_run_comes_to_its_end_with_right_answers_and_all_counts_met(name: str) -> None:
    objectives = (await load(name).run(SHORT)).objectives
    assert not_met(objectives) == []
    assert all(math.isfinite(one.figure) for one in objectives)
    assert any(one.name.startswith("wrong answers") for one in objectives)


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("slowloris", "slow connections open after 6 s"),
        ("soak", "rows in cache at the end"),
        ("workers", "requests without an answer, kill 1"),
    ],
)
async def test_a_control_that_counts_is_found_out(name: str, objective: str) -> None:
    assert not_met((await load(name).run(BROKEN)).objectives) == [objective]


async def test_schemathesis_finds_no_5xx_and_no_schema_miss(demo_served: Served) -> None:
    found = await hostile.run_on(demo_served, 60, SHORT, phases="fuzzing")
    assert missed(found.objectives) == []


def test_every_profile_says_what_it_shows_and_how_it_is_broken() -> None:
    for name, profile in everything().items():
        assert profile.name == name
        assert profile.summary
        assert profile.control
