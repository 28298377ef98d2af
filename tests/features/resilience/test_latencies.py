"""One high percentile of recent latencies, cheap enough to be kept for every call."""

import random

from hypothesis import given
from hypothesis import strategies as st

from features.resilience.latencies import RecentLatencies


def test_nothing_is_said_before_there_are_enough_samples() -> None:
    latencies = RecentLatencies()
    assert repr(latencies) == "<RecentLatencies p97.5 unknown, 0 samples>"
    for _ in range(127):
        latencies.record(0.01)
    assert latencies.percentile_s is None
    latencies.record(0.01)
    assert latencies.percentile_s == 0.01
    assert repr(latencies) == "<RecentLatencies p97.5 10.0 ms, 128 samples>"


@given(st.permutations(range(192)))
def test_one_in_forty_samples_lies_at_or_beyond_the_percentile(samples: list[int]) -> None:
    latencies = RecentLatencies()
    for sample in samples:
        latencies.record(sample)
    assert latencies.percentile_s == 192 - 5


def test_what_was_long_ago_is_forgotten() -> None:
    latencies = RecentLatencies()
    for _ in range(1_000):
        latencies.record(5.0)
    for _ in range(512 + 64):
        latencies.record(0.01)
    assert latencies.percentile_s == 0.01


def test_the_percentile_follows_a_backend_that_slows_down_within_128_calls(chance: random.Random) -> None:
    latencies = RecentLatencies()
    for _ in range(2_000):
        latencies.record(0.005 * chance.lognormvariate(0, 0.2))
    assert latencies.percentile_s is not None
    assert latencies.percentile_s < 0.01
    for _ in range(128):
        latencies.record(0.5)
    assert latencies.percentile_s == 0.5
