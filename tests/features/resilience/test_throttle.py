"""When a backend refuses most calls, most calls are not even made; when it is back, they soon are."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.clock import ManualClock
from features.resilience.throttle import AdaptiveThrottle

TICKS = st.floats(0, 0.5, allow_subnormal=False)


def test_the_probability_is_the_formula_of_the_book(clock: ManualClock) -> None:
    throttle = AdaptiveThrottle(clock, random=lambda: 0.0)
    for accepted in [True] * 2 + [False] * 7:
        throttle.record(accepted)
    assert throttle.refusal_probability == (9 - 2 * 2) / (9 + 1)
    assert not throttle.admit()
    assert throttle.refusal_probability == (10 - 2 * 2) / (10 + 1)
    assert repr(throttle) == "<AdaptiveThrottle 2 of 10 accepted within 1 s, refuses 55%, refused 1 so far>"


def test_a_call_is_refused_when_chance_falls_below_the_probability(clock: ManualClock) -> None:
    chances = iter([0.5, 0.49])
    throttle = AdaptiveThrottle(clock, random=lambda: next(chances))
    throttle.record(accepted=False)
    assert throttle.refusal_probability == 0.5
    assert throttle.admit()
    assert not throttle.admit()


@given(st.lists(st.tuples(TICKS, st.integers(0, 5)), max_size=60))
def test_nothing_is_refused_while_everything_is_accepted(steps: list[tuple[float, int]]) -> None:
    clock = ManualClock()
    throttle = AdaptiveThrottle(clock, random=lambda: 0.0)
    for tick, outcomes in steps:
        clock.advance(tick)
        assert throttle.admit()
        for _ in range(outcomes):
            throttle.record(accepted=True)
    assert throttle.refused == 0


def test_calls_under_way_do_not_look_like_refusals(clock: ManualClock) -> None:
    throttle = AdaptiveThrottle(clock, random=lambda: 0.0)
    assert all(throttle.admit() for _ in range(1_000))


@given(st.lists(st.tuples(TICKS, st.booleans(), st.booleans()), max_size=60))
def test_the_window_holds_the_last_second_to_a_tenth(steps: list[tuple[float, bool, bool]]) -> None:
    clock = ManualClock()
    throttle = AdaptiveThrottle(clock, random=lambda: 0.5)
    log: list[tuple[int, bool]] = []
    for tick, record, accepted in steps:
        clock.advance(tick)
        if record:
            throttle.record(accepted)
            log.append((int(clock.monotonic() / 0.1), accepted))
        elif not throttle.admit():
            log.append((int(clock.monotonic() / 0.1), False))
        repr(throttle)  # moves the window on
        inside = [accepted for at, accepted in log if at > int(clock.monotonic() / 0.1) - 10]
        assert (throttle._requests, throttle._accepts) == (len(inside), sum(inside))


@given(st.lists(st.tuples(st.floats(0, 0.3), st.booleans()), max_size=100))
def test_whatever_happens_one_call_gets_through_every_tenth_of_a_second(steps: list[tuple[float, bool]]) -> None:
    clock = ManualClock()
    throttle = AdaptiveThrottle(clock, random=lambda: 0.0)
    admitted_at = clock.monotonic()
    for tick, accepted in steps:
        clock.advance(tick)
        if throttle.admit():
            admitted_at = clock.monotonic()
            throttle.record(accepted)
        else:
            assert clock.monotonic() - admitted_at < 0.1


def test_an_outage_is_forgotten_after_the_window(clock: ManualClock) -> None:
    throttle = AdaptiveThrottle(clock, random=lambda: 0.0)
    for _ in range(50):
        throttle.record(accepted=False)
    clock.advance(1.0)
    assert throttle.admit()
    assert throttle.refusal_probability == 0.0


@pytest.mark.parametrize(("rate", "back_within_s"), [(5, 0.3), (20, 1.5), (50, 2), (200, 3), (1_000, 4)])
def test_an_outage_of_30_s_is_cheap_and_its_end_is_found_at_once(
    clock: ManualClock, chance: random.Random, rate: int, back_within_s: float
) -> None:
    """At 50 calls/s and more a dead backend is sent less than a third, and sees most of them again in 2 to 4 s."""
    throttle = AdaptiveThrottle(clock, random=chance.random)
    calls: list[tuple[float, bool]] = []
    for number in range(45 * rate):
        now = number / rate
        admitted = throttle.admit()
        calls.append((now, admitted))
        if admitted:
            throttle.record(accepted=not 5 <= now < 35)
        clock.advance(1 / rate)
    before = [admitted for now, admitted in calls if now < 5]
    during = [admitted for now, admitted in calls if 5 <= now < 35]
    after = [now - 35 for now, admitted in calls if now >= 35 and admitted]
    settled = [admitted for now, admitted in calls if now >= 35 + back_within_s]
    assert all(before)
    assert sum(during) <= max(0.3 * len(during), 12 * 30)
    assert after[0] <= 0.2
    assert sum(settled) >= 0.95 * len(settled)


def test_a_backend_that_takes_a_tenth_is_sent_about_a_fifth(clock: ManualClock, chance: random.Random) -> None:
    """It can take 20 of 200 calls/s: twice that is let through, the rest is refused here."""
    throttle = AdaptiveThrottle(clock, random=chance.random)
    sent = taken = 0
    room = 0.0
    for number in range(200 * 20):
        room = min(2.0, room + 20 / 200)
        clock.advance(1 / 200)
        if throttle.admit():
            accepted = room >= 1
            room -= accepted
            throttle.record(accepted)
            if number >= 200 * 5:
                sent += 1
                taken += accepted
    assert 18 <= taken / 15 <= 20.1
    assert sent / taken <= 2.3


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_backend_that_fails_now_and_then_is_not_throttled(
    clock: ManualClock, chance: random.Random, share: float
) -> None:
    throttle = AdaptiveThrottle(clock, random=chance.random)
    for _ in range(5_000):
        clock.advance(1 / 100)
        if throttle.admit():
            throttle.record(chance.random() >= share)
    assert throttle.refused <= 0.002 * 5_000


def test_four_good_answers_in_a_row_end_an_outage(clock: ManualClock, chance: random.Random) -> None:
    throttle = AdaptiveThrottle(clock, random=chance.random)
    for _ in range(100):
        throttle.record(accepted=False)
    assert throttle.refusal_probability > 0.9
    for _ in range(4):
        assert throttle.refusal_probability > 0
        throttle.record(accepted=True)
    assert throttle.refusal_probability == 0.0
