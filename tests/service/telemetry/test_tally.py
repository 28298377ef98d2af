"""What happened becomes plain numbers."""

import numpy as np
import pytest

from features.events import CacheLookedUp, Event
from service.events import InstancesAssembled, RequestEnded, RequestRefused, RequestShed, RowsAged, RowsScored
from service.telemetry.histogram import SCORE_BUCKETS, Histogram
from service.telemetry.tally import Tally


class SomethingNew(Event):
    """An event that nobody counts yet."""


@pytest.fixture
def tally() -> Tally:
    return Tally()


def test_an_event_that_nobody_counts_is_passed_over(tally: Tally) -> None:
    tally.observe(SomethingNew())
    assert not tally.requests


@pytest.mark.parametrize("result", ["fresh", "stale", "negative", "miss", "coalesced"])
def test_look_ups_are_counted_under_their_own_result(tally: Tally, result: str) -> None:
    tally.observe(CacheLookedUp("account", **{result: 3}))
    tally.observe(CacheLookedUp("account", **{result: 1}))
    assert tally.lookups == {("account", result): 4}


def test_a_refusal_is_counted_by_whose_place_was_asked_for_and_why(tally: Tally) -> None:
    tally.observe(RequestShed("interactive", "limit"))
    tally.observe(RequestShed("large", "deadline"))
    tally.observe(RequestShed("large", "deadline"))
    assert tally.shed == {("interactive", "limit"): 1, ("large", "deadline"): 2}


def test_a_request_that_is_refused_at_the_door_counts_but_leaves_the_durations_of_the_others_alone(
    tally: Tally,
) -> None:
    tally.observe(RequestEnded("/predict", 200, 0.25))
    for _ in range(3):
        tally.observe(RequestRefused("/predict", 503))
    tally.observe(RequestRefused("other", 408))
    assert tally.requests == {("/predict", 200): 1, ("/predict", 503): 3, ("other", 408): 1}
    assert {route: (sum(taken.counts), taken.total) for route, taken in tally.request_s.items()} == {
        "/predict": (1, 0.25)
    }


def test_absent_values_add_up_by_view_and_status(tally: Tally) -> None:
    tally.observe(InstancesAssembled(2, {("account", "NULL"): 1}))
    tally.observe(InstancesAssembled(3, {("account", "NULL"): 2, ("risk", "ERROR"): 1}))
    tally.observe(InstancesAssembled(1, {}))
    assert tally.instances == 6
    assert tally.absent == {("account", "NULL"): 3, ("risk", "ERROR"): 1}


def test_each_row_has_its_age_counted_under_its_view(tally: Tally) -> None:
    tally.observe(RowsAged("account", (0.5, 90.0)))
    tally.observe(RowsAged("risk", (10.0,)))
    assert {view: (sum(ages.counts), ages.total) for view, ages in tally.age_s.items()} == {
        "account": (2, 90.5),
        "risk": (1, 10.0),
    }


def test_a_regression_has_rows_but_no_probabilities(tally: Tally) -> None:
    tally.observe(RowsScored(3))
    assert sum(tally.rows.counts) == 1
    assert not any(tally.scores.counts)


@pytest.mark.parametrize("rows", [1, 32, 33, 1_000])
def test_scores_are_counted_alike_one_by_one_and_all_at_once(tally: Tally, rows: int) -> None:
    """The bounds themselves are among the values: each belongs to the bucket that it ends."""
    scores = np.resize(np.array([*SCORE_BUCKETS, 0.0, 0.049, 0.051, 0.999]), rows)
    one_by_one = Histogram(SCORE_BUCKETS)
    for score in scores.tolist():
        one_by_one.add(score)
    tally.observe(RowsScored(rows, scores))
    tally.observe(RowsScored(rows, scores))
    assert tally.scores.counts == [2 * count for count in one_by_one.counts]
    assert tally.scores.total == pytest.approx(2 * one_by_one.total)


def test_probabilities_fall_into_twenty_equal_steps() -> None:
    assert len(SCORE_BUCKETS) == 20
    assert SCORE_BUCKETS[:3] == (0.05, 0.1, 0.15)
    assert SCORE_BUCKETS[-1] == 1.0


def test_a_copy_does_not_follow_the_histogram() -> None:
    histogram = Histogram((1.0,))
    histogram.add(0.5)
    copy = histogram.copy()
    histogram.add(0.5)
    assert (copy.counts, copy.total) == ([1, 0], 0.5)
