"""Ages against bounds: every border belongs to the later side."""

import pytest

from features.freshness import Bounds, Freshness, judge_read, oldest_event, too_old
from features.spec import CachePolicy

_POLICY = CachePolicy(ttl_s=2, stale_while_revalidate_s=10, stale_if_error_s=300)


@pytest.mark.parametrize(
    ("cached_s", "expected"),
    [
        (0.0, Freshness.FRESH),
        (1.999, Freshness.FRESH),
        (2.0, Freshness.STALE),
        (11.999, Freshness.STALE),
        (12.0, Freshness.STALE_IF_ERROR),
        (301.999, Freshness.STALE_IF_ERROR),
        (302.0, Freshness.EXPIRED),
        (1e9, Freshness.EXPIRED),
    ],
)
def test_both_stale_windows_start_when_the_ttl_ends(cached_s: float, expected: Freshness) -> None:
    assert judge_read(cached_s - 2.0, _POLICY) is expected


def test_a_ttl_that_jitter_shortened_moves_all_windows_forward() -> None:
    assert judge_read(1.8 - 1.8, _POLICY) is Freshness.STALE
    assert judge_read(11.8 - 1.8, _POLICY) is Freshness.STALE_IF_ERROR
    assert judge_read(301.8 - 1.8, _POLICY) is Freshness.EXPIRED


def test_without_stale_windows_a_row_is_fresh_or_expired() -> None:
    policy = CachePolicy(ttl_s=0, stale_while_revalidate_s=0, stale_if_error_s=0)
    assert judge_read(0.0 - 0.0, policy) is Freshness.EXPIRED


def test_revalidation_wins_where_the_error_window_is_the_shorter() -> None:
    policy = CachePolicy(ttl_s=1, stale_while_revalidate_s=10, stale_if_error_s=5)
    assert judge_read(8.0 - 1.0, policy) is Freshness.STALE
    assert judge_read(11.0 - 1.0, policy) is Freshness.EXPIRED


def test_a_request_turns_how_long_ago_into_an_instant_on_arrival() -> None:
    assert Bounds.of_request(1_000.0, 2.5, 60.0) == Bounds(997.5, 60.0)
    assert Bounds.of_request(1_000.0, 0.0, None) == Bounds(1_000.0, None)
    assert Bounds.of_request(1_000.0, None, None) == Bounds()


@pytest.mark.parametrize(
    ("view", "request_", "expected"),
    [(None, None, None), (60.0, None, 940.0), (None, 30.0, 970.0), (60.0, 30.0, 970.0), (30.0, 60.0, 970.0)],
)
def test_the_tighter_bound_on_the_event_time_counts(
    view: float | None, request_: float | None, expected: float | None
) -> None:
    assert oldest_event(1_000.0, view, request_) == expected


@pytest.mark.parametrize(
    ("event_time", "oldest", "expected"),
    [
        (None, None, False),
        (5.0, None, False),
        (None, 10.0, True),
        (9.999, 10.0, True),
        (10.0, 10.0, False),
        (99.0, 10.0, False),
    ],
)
def test_an_undated_value_fails_any_bound_and_the_border_passes(
    event_time: float | None,
    oldest: float | None,
    expected: bool,  # noqa: FBT001  # a parameter of the table above
) -> None:
    assert too_old(event_time, oldest) is expected
