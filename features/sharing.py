"""Few rows, many instances: decides on each row once and hands the decision to the instances that use the row. Pure.

What is decided is what `features.judging` decides for each instance alone. A file of a million payments by two thousand
customers is judged in the time of two thousand; only instances that fail, or are scored with something that has to be
counted, are looked at one by one.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from features.freshness import Bounds, oldest_event, too_old
from features.judging import (
    NO_SUBSTITUTES,
    Assembly,
    Decision,
    Index,
    Substitutes,
    ViewJudge,
    count,
    enter,
    odd_rows,
    view_judges,
)
from features.planning import Instances
from features.spec import Spec
from features.values import Retrieved


class SharedJudge:
    """Decides on the values of instances that share rows."""

    __slots__ = ("_views",)

    def __init__(self, spec: Spec) -> None:
        self._views = view_judges(spec)

    def judge(
        self,
        instances: Instances,
        retrieved: Sequence[Sequence[Retrieved]],
        indexes: Sequence[Index | None],
        bounds: Bounds,
        *,
        wall: float,
        now: float = 0.0,
    ) -> Assembly:
        """What all instances are to be scored with, as `Judge.judge` would say of each.

        Args:
            instances: What is to be scored.
            retrieved: For each view of the spec, the rows that were retrieved.
            indexes: For each view, which of its rows every instance uses; None where number i uses row number i.
            bounds: What is demanded of values.
            wall: Unix seconds now, for ages by event time.
            now: The same moment on the monotonic clock, for the times since reads.

        Returns:
            The decisions; failures by instance are in it, not raised.
        """
        by_row: list[Mapping[int, Substitutes]] = []
        result = Assembly(instances, retrieved, wall, now, indexes=indexes, by_row=by_row)
        for judge, rows, index in zip(self._views, retrieved, indexes, strict=True):
            decided = _judge_rows(judge, rows, oldest_event(wall, judge.view.max_age_s, bounds.max_age_s))
            by_row.append({row: decision.substitutes for row, decision in decided.items() if decision.substitutes})
            if decided:
                _spread(decided, judge.view.name, len(rows), index, result)
        for instance in result.failures:  # not scored, so nothing was used in place of anything
            result.degraded.pop(instance, None)
            result.defaulted.pop(instance, None)
        return result


def _judge_rows(judge: ViewJudge, rows: Sequence[Retrieved], oldest: float | None) -> dict[int, Decision]:
    """What becomes of those rows that cannot be used just as they are."""
    decided: dict[int, Decision] = {}
    for at, one in odd_rows(rows) if oldest is None else enumerate(rows):
        if one.plain and one.row is not None and not too_old(one.row.event_time, oldest):
            continue
        plainly_null = oldest is None and one.row is not None and not one.degraded
        decided[at] = judge.by_nulls(one.row.nulls) if plainly_null and one.row else judge.decide(one, oldest)
    return decided


def _spread(decided: Mapping[int, Decision], view: str, n_rows: int, index: Index | None, result: Assembly) -> None:
    """Enters decisions on rows for the instances that use them; substitutes stay with the rows."""
    times = None if index is None else np.bincount(index, minlength=n_rows)
    entered: dict[int, Decision] = {}
    for row, decision in decided.items():
        uses = 1 if times is None else int(times[row])
        if uses:
            count(decision, view, result, uses)
        if decision.failure is not None or decision.degraded or decision.defaulted:
            entered[row] = decision._replace(substitutes=NO_SUBSTITUTES)
    if not entered:
        return
    concerns = np.zeros(n_rows, dtype=bool)
    concerns[list(entered)] = True
    instances = np.flatnonzero(concerns if index is None else concerns[index])
    rows = instances if index is None else index[instances]
    for instance, row in zip(instances.tolist(), rows.tolist(), strict=True):
        enter(entered[row], instance, result)
