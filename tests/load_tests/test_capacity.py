import numpy as np
import pytest

from load_tests.arrivals import poisson
from load_tests.capacity import (
    NotMeasurable,
    Search,
    costs_by_difference,
    costs_by_regression,
    find_capacity,
    goodput_bound,
)
from load_tests.outcome import Outcome
from load_tests.simulation import Service, simulate, simulate_rate

SEARCH = Search(growing_s=2, step_s=2, confirm_s=6)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("capacity", [500.0, 1000.0, 4321.0])
async def test_the_capacity_of_a_service_is_found(capacity: float) -> None:
    found = await find_capacity(Service(capacity).offer, SEARCH)
    assert 0.82 * capacity <= found.rate <= 1.02 * capacity  # errors hold a little below the rate it can do


async def test_the_capacity_is_held_for_as_long_as_was_asked_for() -> None:
    service = Service(1000)
    found = await find_capacity(service.offer, SEARCH)
    assert service.offered[-1] == (found.rate, SEARCH.confirm_s)
    assert found.confirmed is found.steps[-1]
    assert len(found.steps) == len(service.offered)


async def test_one_hiccup_of_the_machine_costs_no_capacity() -> None:
    quiet = await find_capacity(Service(1000).offer, SEARCH)
    disturbed = await find_capacity(Service(1000, hiccups=frozenset({2, 5})).offer, SEARCH)
    assert disturbed.rate >= 0.9 * quiet.rate


async def test_a_step_in_which_the_generator_lags_is_repeated() -> None:
    service = Service(1000, lagging=2)
    found = await find_capacity(service.offer, SEARCH)
    assert [rate for rate, _ in service.offered[:3]] == [SEARCH.start] * 3
    assert found.rate > 800


async def test_no_capacity_is_found_with_a_generator_that_always_lags() -> None:
    with pytest.raises(NotMeasurable, match="send lag"):
        await find_capacity(Service(1000, lagging=1000).offer, SEARCH)


async def test_a_service_that_holds_nothing_has_no_capacity() -> None:
    with pytest.raises(NotMeasurable, match="not even 250"):
        await find_capacity(Service(20).offer, SEARCH)


async def test_a_service_beyond_the_ceiling_is_not_guessed_at() -> None:
    with pytest.raises(NotMeasurable, match="more are not tried"):
        await find_capacity(Service(50_000).offer, Search(growing_s=1, step_s=1, ceiling=2000))


def overloaded(k: float, refusal_s: float) -> Outcome:
    return simulate(poisson(k * 1000, 10, 1), 10, refusal_cpu_s=refusal_s)


@pytest.mark.parametrize("refusal_s", [0.00005, 0.00012, 0.0006])
def test_both_ways_find_what_refusals_cost(refusal_s: float) -> None:
    difference = costs_by_difference(simulate_rate(500, 10), overloaded(3, refusal_s))
    regression = costs_by_regression([overloaded(k, refusal_s) for k in (1.5, 2, 5)])
    for costs in (difference, regression):
        assert costs.answer_s == pytest.approx(1 / 1000)
        assert costs.rho == pytest.approx(1000 * refusal_s)


def test_refusals_cost_no_less_than_nothing() -> None:
    assert costs_by_difference(overloaded(3, 0.0005), overloaded(3, 0.0001)).refusal_s == 0


def test_without_refusals_their_cost_is_unknown() -> None:
    calm = simulate_rate(100, 5)
    assert np.isnan(costs_by_difference(calm, calm).rho)
    assert np.isnan(costs_by_regression([calm]).rho)


@pytest.mark.parametrize(("k", "bound"), [(1.0, 850.0), (2.0, 765.0), (5.0, 510.0), (20.0, 0.0)])
def test_the_goodput_asked_for_falls_with_the_refusals_to_be_made(k: float, bound: float) -> None:
    assert goodput_bound(1000, k, 0.1) == pytest.approx(bound)
