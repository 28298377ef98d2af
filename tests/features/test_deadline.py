"""A deadline is an instant, handed down, that nothing restarts."""

from features.clock import ManualClock
from features.deadline import Deadline


def test_a_deadline_counts_down_to_zero_and_not_below(clock: ManualClock) -> None:
    deadline = Deadline.after(2.0, clock)
    assert (deadline.at, deadline.remaining_s, deadline.passed) == (1_002.0, 2.0, False)
    clock.advance(1.5)
    assert (deadline.remaining_s, deadline.passed) == (0.5, False)
    clock.advance(0.5)
    assert (deadline.remaining_s, deadline.passed) == (0.0, True)
    clock.advance(5)
    assert deadline.remaining_s == 0.0


def test_the_sooner_of_two_instants_wins(clock: ManualClock) -> None:
    deadline = Deadline.after(2.0, clock)
    assert deadline.sooner(1_003.0) is deadline
    assert deadline.sooner(1_002.0) is deadline
    assert deadline.sooner(1_001.0) == Deadline(1_001.0, clock)
