"""How many requests may be in flight follows what is measured, by the law in the module's text."""

from math import sqrt

import pytest

from service.limits import FixedLimit, GradientLimit


class Feed:
    """A limit and the moment; each step is one window of samples."""

    def __init__(self, ceiling: int = 1_000) -> None:
        self.now = 100.0
        self.limit = GradientLimit(ceiling, self.now)

    def window(self, *pressures: float, refused: bool = False) -> int:
        """The limit after a window with these samples."""
        if refused:
            self.limit.refused(self.now)
        for pressure in pressures[:-1]:
            self.limit.measured(pressure, self.now)
        self.now += 0.11
        self.limit.measured(pressures[-1], self.now)
        return self.limit.in_flight


@pytest.mark.parametrize(("ceiling", "begins"), [(1_000, 64), (64, 64), (4, 4), (1, 1)])
def test_it_begins_at_64_or_at_its_ceiling(ceiling: int, begins: int) -> None:
    assert GradientLimit(ceiling, 0.0).in_flight == begins


@pytest.mark.parametrize(("pressures", "left"), [((1.25,), 51), ((1.0, 2.0, 1.5), 42), ((2.0,), 32), ((50.0,), 32)])
def test_too_much_latency_shrinks_it_in_proportion_and_at_most_by_half(pressures: tuple[float, ...], left: int) -> None:
    assert Feed().window(*pressures) == left


def test_it_grows_by_its_square_root_while_somebody_is_refused() -> None:
    feed = Feed()
    assert feed.window(0.5, refused=True) == 72
    assert feed.window(0.5, refused=True) == int(72 + sqrt(72))


def test_it_stays_when_nobody_is_refused() -> None:
    feed = Feed()
    assert [feed.window(0.0), feed.window(1.0), feed.window(0.3)] == [64, 64, 64]


def test_a_refusal_counts_for_its_own_window_only() -> None:
    feed = Feed()
    feed.window(0.5, refused=True)
    assert feed.window(0.5) == 72


def test_it_neither_falls_below_one_nor_rises_above_its_ceiling() -> None:
    feed = Feed(ceiling=80)
    assert min(feed.window(9.0) for _ in range(20)) == 1
    assert max(feed.window(0.0, refused=True) for _ in range(40)) == 80


def test_it_moves_once_in_a_window() -> None:
    feed = Feed()
    for _ in range(100):
        feed.limit.measured(5.0, feed.now)
    assert feed.limit.in_flight == 64
    assert feed.window(5.0) == 32


def test_the_latest_pressure_is_known_for_a_second() -> None:
    feed = Feed()
    feed.window(0.7)
    assert feed.limit.pressure(feed.now + 0.9) == pytest.approx(0.7)
    assert feed.limit.pressure(feed.now + 1.1) == 0


@pytest.mark.parametrize("service_s", [0.0003, 0.001, 0.004])
def test_under_lasting_overload_it_settles_where_the_wait_is_the_wanted_one(service_s: float) -> None:
    """A queue that is always full: who comes in waits for all that are in before him."""
    feed = Feed()
    seen = []
    for _ in range(300):
        wait_s = feed.limit.in_flight * service_s
        seen.append(wait_s)
        feed.window(wait_s / 0.05, refused=True)
    assert sum(seen[100:]) / 200 == pytest.approx(0.05, rel=0.25)


def test_a_fixed_limit_does_not_move() -> None:
    limit = FixedLimit(7)
    for moment in range(100):
        limit.refused(float(moment))
        limit.measured(99.0, float(moment))
    assert (limit.in_flight, limit.pressure(0.0)) == (7, 0.0)


def test_it_shows_where_it_is() -> None:
    feed = Feed()
    feed.window(2.0)
    assert repr(feed.limit) == "<GradientLimit 32 of 1000, pressure 2.00>"
