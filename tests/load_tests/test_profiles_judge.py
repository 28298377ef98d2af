"""What the profiles ask for, of a service that refuses its surplus and of one that queues it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from load_tests.arrivals import poisson, stages
from load_tests.client import RESET
from load_tests.objectives import Objective
from load_tests.outcome import Outcome
from load_tests.profiles import cold_cache, dead_store, overload, slow_store, soak, spike, steady, workers
from load_tests.profiles.base import everything, names
from load_tests.simulation import simulate, simulate_rate
from load_tests.verdict import Verdict, judge, overall
from load_tests.watching import Sample

PROTECTED_S = 0.04
UNPROTECTED_S = 1e9


def overloaded(k: float, queue_s: float) -> overload.Overloaded:
    times = stages([(500, 10), (k * 1000, 15), (500, 10)], seed=1)
    whole = simulate(times, 35, queue_s=queue_s)
    live = simulate_rate(20, 15)
    return overload.Overloaded(k, whole, whole.part(2, 10), whole.part(10, 25), whole.part(27, 35), live)


@pytest.mark.parametrize("k", [1.5, 2.0, 5.0])
def test_overload_passes_a_service_that_refuses_its_surplus(k: float) -> None:
    assert overall(overload.objectives("", overloaded(k, PROTECTED_S), 850)) is Verdict.PASS


@pytest.mark.parametrize("k", [1.5, 2.0, 5.0])
def test_overload_fails_a_service_that_queues_its_surplus(k: float) -> None:
    missed = [
        one.name
        for one in overload.objectives("route", overloaded(k, UNPROTECTED_S), 850)
        if judge(one) is Verdict.FAIL
    ]
    assert "route: goodput" in missed
    assert "route: accepted p99" in missed
    assert "route: p99 at 0.5 C from 2 s after" in missed


def spiky(queue_s: float) -> Outcome:
    calm, burst = (400, spike.CALM_S), (2000, spike.SPIKE_S)
    plan = [calm, *[burst, calm] * 4]
    return simulate(stages(plan, seed=1), sum(seconds for _, seconds in plan), queue_s=queue_s)


def test_spikes_pass_a_service_that_refuses_them_and_fail_one_that_queues_them() -> None:
    assert overall(spike.objectives(spiky(PROTECTED_S))) is Verdict.PASS
    assert overall(spike.objectives(spiky(UNPROTECTED_S))) is Verdict.FAIL


def test_steady_load_passes_below_the_capacity_and_fails_above() -> None:
    assert overall(steady.objectives("", simulate_rate(700, 10))) is Verdict.PASS
    assert overall(steady.objectives("", simulate_rate(1100, 10))) is Verdict.FAIL


def slowed(capacity: float) -> Outcome:
    normal = simulate_rate(500, 30)
    slow = simulate_rate(500, 30, capacity=capacity)
    inside = (normal.intended >= 10) & (normal.intended < 20)
    return replace(
        normal,
        latency=np.where(inside, slow.latency + 0.05, normal.latency),
        status=np.where(inside, slow.status, normal.status),
    )


@pytest.mark.parametrize(("capacity", "verdict"), [(1000.0, Verdict.PASS), (80.0, Verdict.FAIL)])
def test_a_slow_store_may_cost_time_and_no_answers(capacity: float, verdict: Verdict) -> None:
    whole = slowed(capacity)
    parts = whole.part(1, 10), whole.part(10, 20), whole.part(22, 30)
    assert overall(slow_store.objectives(whole, *parts)) is verdict


def without_store(known: int, *, back_after_s: float = 0.5) -> list[Verdict]:
    when = dead_store.Schedule(10, 40, 50)
    warm = simulate_rate(500, 50)
    cold = simulate_rate(50, 50)
    lost = (warm.intended > 20) & (warm.intended < 30)
    lost &= np.cumsum(lost) <= known
    dead = (cold.intended >= when.down) & (cold.intended < when.up + back_after_s)
    warm = replace(warm, status=np.where(lost, 503, warm.status))
    cold = replace(cold, status=np.where(dead, 503, cold.status))
    return [judge(one) for one in dead_store.objectives(warm, cold, when)]


def test_a_dead_store_passes_where_everything_known_is_served() -> None:
    assert set(without_store(0)) == {Verdict.PASS}


def test_a_dead_store_fails_by_one_known_entity_that_is_not_served() -> None:
    assert without_store(1).count(Verdict.FAIL) == 1


def test_a_dead_store_fails_where_reads_come_back_late() -> None:
    assert without_store(0, back_after_s=3).count(Verdict.FAIL) == 1


@pytest.mark.parametrize(("capacity", "verdict"), [(1000.0, Verdict.PASS), (400.0, Verdict.FAIL)])
def test_a_cold_cache_passes_once_it_is_warm(capacity: float, verdict: Verdict) -> None:
    run = simulate(poisson(800, 30, 1), 30, capacity=capacity)
    assert overall(cold_cache.objectives(run)) is verdict


def with_a_kill(status: int, begin: int, end: int) -> Outcome:
    """8 s at 500/s, of which some requests came to this instead."""
    run = simulate_rate(500, 8)
    numbers = np.arange(run.offered)
    return replace(run, status=np.where((numbers >= begin) & (numbers < end), status, run.status))


@pytest.mark.parametrize(
    ("status", "lost", "verdict"),
    [
        (RESET, workers.LOST_BAR, Verdict.PASS),
        (RESET, workers.LOST_BAR + 1, Verdict.FAIL),
        (503, 1_000, Verdict.PASS),
        (500, workers.LOST_BAR + 1, Verdict.FAIL),
    ],
)
def test_a_killed_worker_may_lose_what_it_had_under_way_and_others_may_refuse(
    status: int, lost: int, verdict: Verdict
) -> None:
    run = with_a_kill(status, 500, 500 + lost)
    assert overall(workers.objectives("", run, 2.0)) is verdict
    assert judge(workers.calm("", run)) is Verdict.PASS


def test_a_worker_that_is_replaced_late_or_never_fails() -> None:
    run = simulate_rate(500, 8)
    assert overall(workers.objectives("", run, 3.1)) is Verdict.FAIL
    assert overall(workers.objectives("", run, math.inf)) is Verdict.FAIL


def test_refusals_long_after_a_kill_fail() -> None:
    run = with_a_kill(503, 3_500, 3_510)
    assert run.intended[3_500] > 6
    assert judge(workers.calm("", run)) is Verdict.FAIL


def growing(mib: float, descriptors: int, threads: int) -> list[Objective]:
    """Of four minutes in which a process grew by so much."""
    samples = [
        Sample(at * 60.0, 100 + mib * at / 4, 50 + descriptors * at // 4, 20 + threads * at // 4) for at in range(5)
    ]
    return list(soak.growth(samples, 480))


@pytest.mark.parametrize(
    ("mib", "descriptors", "threads", "misses"),
    [(2.9, 8, 2, 0), (-5.0, -3, -1, 0), (3.1, 0, 0, 1), (0.0, 9, 0, 1), (0.0, 0, 3, 1)],
)
def test_a_soak_fails_by_whatever_piles_up(mib: float, descriptors: int, threads: int, misses: int) -> None:
    assert [judge(one) for one in growing(mib, descriptors, threads)].count(Verdict.FAIL) == misses


def test_an_hours_soak_is_judged_by_its_growth_per_hour() -> None:
    samples = [Sample(at * 900.0, 100 + at * 0.6, 50, 20) for at in range(5)]
    assert [judge(one) for one in soak.growth(samples, 3600)].count(Verdict.FAIL) == 1


def test_every_profile_says_what_it_shows_and_how_it_is_broken() -> None:
    found = everything()
    assert {"steady", "spike", "overload", "slow-store", "dead-store", "cold-cache"} <= set(found)
    assert sorted(found) == names()
    for name, profile in found.items():
        assert profile.name == name
        assert profile.summary
        assert profile.control
