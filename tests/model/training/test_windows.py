"""A window includes its beginning and excludes its end, and knows nothing of other entities."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.training.windows import Timeline

END = 20
EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, END)), max_size=30)


def timeline(events: list[tuple[int, int]]) -> Timeline:
    table = np.array(events, dtype=np.int64).reshape(-1, 2)
    return Timeline.of(table[:, 0], table[:, 1], END)


def test_the_moment_itself_is_not_before_it() -> None:
    line = timeline([(0, 5), (0, 7), (1, 6)])
    who = np.zeros(3, dtype=np.int64)
    assert line.before(who, np.array([5, 6, 8])).tolist() == [0, 1, 2]


def test_an_entity_without_events_has_no_latest_one() -> None:
    line = timeline([(0, 5), (2, 5)])
    assert line.latest(np.array([1, 2]), np.array([END, 5])).tolist() == [-1, -1]
    assert line.latest_time(np.array([1, 2, 2]), np.array([END, 5, 6])).tolist() == [0, 0, 5]


def test_a_timeline_may_be_empty() -> None:
    line = timeline([])
    assert line.before(np.array([3]), np.array([4])).tolist() == [0]
    assert line.latest_time(np.array([3]), np.array([4])).tolist() == [0]


@given(events=EVENTS, entity=st.integers(0, 3), at=st.integers(0, END), length=st.integers(1, 2 * END))
def test_counts_and_sums_are_those_of_a_search_by_hand(
    events: list[tuple[int, int]], entity: int, at: int, length: int
) -> None:
    line = timeline(events)
    values = np.arange(1, len(events) + 1) ** 2
    total = line.running_total(values)
    upto = line.before(np.array([entity]), np.array([at]))[0]
    since = line.before(np.array([entity]), np.array([at - length]))[0]
    inside = [i for i, (who, when) in enumerate(events) if who == entity and at - length <= when < at]
    assert upto - since == len(inside)
    assert total[upto] - total[since] == sum(values[i] for i in inside)
