import numpy as np
import pytest

from load_tests.client import TIMEOUT
from load_tests.outcome import Outcome, WrongAnswer
from load_tests.timeline import Timeline


@pytest.fixture
def outcome() -> Outcome:
    """Ten seconds: an answer in each, but a refusal, a late, a lost and a wrong one."""
    latency = np.full(10, 0.010)
    latency[4], latency[5], latency[3] = 2.0, np.nan, 0.001
    status = np.full(10, 200, dtype=np.int16)
    status[3], status[5] = 503, TIMEOUT
    return Outcome(
        seconds=10.0,
        deadline_s=1.0,
        intended=np.arange(10) + 0.5,
        lag=np.full(10, 0.001),
        latency=latency,
        status=status,
        wrong=(WrongAnswer(7, "odd"),),
        checked=10,
        cpu=((0.0, 1.0), (10.0, 3.0)),
    )


def test_goodput_is_what_was_right_and_in_time(outcome: Outcome) -> None:
    assert outcome.good.tolist() == [True, True, True, False, False, False, True, False, True, True]
    assert outcome.goodput == pytest.approx(0.6)


def test_latencies_are_told_of_those_answered_or_refused(outcome: Outcome) -> None:
    assert outcome.p(0.5) == pytest.approx(0.010)
    assert outcome.p(1.0) == pytest.approx(2.0)
    assert outcome.p(0.99, outcome.refused) == pytest.approx(0.001)
    assert outcome.counts() == {"timeout": 1, "200": 8, "503": 1}


def test_a_part_is_a_run_of_its_own(outcome: Outcome) -> None:
    part = outcome.part(5, 10)
    assert (part.offered, part.seconds, part.failures) == (5, 5, 1)
    assert part.intended[0] == 0.5
    assert [one.index for one in part.wrong] == [2]
    assert part.goodput == pytest.approx(0.6)
    assert part.cpu_s == pytest.approx(1.0)


def test_the_histogram_holds_every_latency(outcome: Outcome) -> None:
    histogram = outcome.histogram()
    assert histogram.get_total_count() == 8
    assert histogram.get_value_at_percentile(50) == pytest.approx(10_000, rel=0.001)
    assert histogram.get_max_value() == pytest.approx(2_000_000, rel=0.001)


def test_each_second_is_told_apart(outcome: Outcome) -> None:
    line = Timeline.of(outcome)
    assert line.good.tolist() == [1, 1, 1, 0, 0, 0, 1, 0, 1, 1]
    assert line.refused.tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert line.other.tolist() == [0, 0, 0, 0, 1, 1, 0, 1, 0, 0]
    assert line.accepted_p99_ms[4] == pytest.approx(2000)
    assert np.isnan(line.accepted_p99_ms[3])
