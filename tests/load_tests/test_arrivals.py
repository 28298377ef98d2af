import numpy as np
import pytest

from load_tests.arrivals import poisson, stages


def test_the_same_seed_gives_the_same_arrivals() -> None:
    assert np.array_equal(poisson(100, 10, seed=7), poisson(100, 10, seed=7))
    assert not np.array_equal(poisson(100, 10, seed=7), poisson(100, 10, seed=8))


@pytest.mark.parametrize(("rate", "seconds"), [(1000.0, 30.0), (20_000.0, 2.0), (50.0, 500.0)])
def test_as_many_arrive_as_the_rate_says(rate: float, seconds: float) -> None:
    mean = rate * seconds
    assert abs(poisson(rate, seconds, seed=1).size - mean) < 5 * mean**0.5


def test_gaps_are_exponential() -> None:
    gaps = np.sort(np.diff(poisson(1000, 60, seed=3)) * 1000)
    expected = 1 - np.exp(-gaps)
    found = np.arange(1, gaps.size + 1) / gaps.size
    # Kolmogorov and Smirnov: a sample of n strays farther than 1.95 / sqrt(n) once in a thousand times
    assert np.abs(found - expected).max() < 1.95 / gaps.size**0.5


def test_arrivals_ascend_and_stay_within_the_run() -> None:
    times = poisson(0.5, 3, seed=2)
    assert (np.diff(times) > 0).all()
    assert ((times >= 0) & (times < 3)).all()


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        poisson(0, 10, seed=1)


def test_each_stretch_has_its_own_rate() -> None:
    times = stages([(500, 10), (5000, 4), (500, 10)], seed=1)
    assert (np.diff(times) > 0).all()
    found = np.histogram(times, bins=[0, 10, 14, 24])[0]
    assert np.abs(found - [5000, 20_000, 5000]).max() < 5 * 20_000**0.5


def test_two_stretches_of_one_rate_are_not_the_same_arrivals() -> None:
    times = stages([(100, 10), (100, 10)], seed=1)
    first, second = times[times < 10], times[times >= 10] - 10
    assert first.size != second.size or not np.allclose(first, second)
