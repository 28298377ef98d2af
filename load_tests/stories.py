"""Holds the story of each value in a detailed answer to what the store held and to what the bundle allows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from load_tests.catalogue import Catalogue, Feature, View
from load_tests.expectations import Case, as_sent, derived, status_of
from load_tests.stored_rows import Row
from load_tests.truth import Truth

SLACK_S: Final = 0.1
"""Seconds by which times that are rounded, or taken at two ends of a request, may differ."""

_STATUSES: Final = ("PRESENT", "NULL", "NOT_FOUND", "OUTSIDE_MAX_AGE", "ERROR")


class Wrong(Exception):  # says what is wrong with an answer, not with this program
    """An answer is not what it must be; says why."""


@dataclass(frozen=True, slots=True)
class Span:
    """When a request was under way, in seconds of the truth's clock.

    Attributes:
        sent: When it was sent.
        answered: When its answer had come, at the latest.
    """

    sent: float
    answered: float


def examine(catalogue: Catalogue, case: Case, used: Mapping[str, Any], truth: Truth, span: Span) -> None:
    """Returns if every value's story can be true.

    Raises:
        Wrong: One cannot.
    """
    if list(used) != [feature.name for feature in catalogue.features]:
        raise Wrong(f"the features are {list(used)}")
    values = {name: one["value"] for name, one in used.items()}
    for feature in catalogue.features:
        one = used[feature.name]
        if feature.field is not None:
            _examine_request(feature, case, one)
        elif feature.derive is not None:
            exact = {**values, **{f.name: as_sent(f, case) for f in catalogue.features if f.field is not None}}
            _examine_derived(feature, one, derived(feature, exact))
        else:
            view = catalogue.views[str(feature.view)]
            _examine_policy(feature, view, one)
            _examine_value(feature, one, _held(view, case, one, truth, span))


def count_flags(catalogue: Catalogue, used: Mapping[str, Any], degraded: int) -> int:
    """How many declared defaults were used, once `degraded` agrees with the stories.

    Raises:
        Wrong: More or fewer values were substituted because of an error, or served too stale, than it says.
    """
    surely = possibly = defaults = 0
    for feature in catalogue.features:
        if feature.view is None:
            continue
        one, view = used[feature.name], catalogue.views[feature.view]
        if one["status"] == "ERROR":
            surely, possibly = surely + 1, possibly + 1
        elif one["source"] == "stale":
            surely += one["cached_s"] > view.unflagged_s + SLACK_S
            possibly += 1
        elif one["source"] == "default":
            defaults += 1
            possibly += 1  # of a row that was served too stale, a default counts as degraded
        elif one["source"] == "missing":
            possibly += 1
    if not surely <= degraded <= possibly:
        raise Wrong(f"degraded is {degraded}, but the stories say from {surely} to {possibly}")
    return defaults


def _examine_request(feature: Feature, case: Case, one: Mapping[str, Any]) -> None:
    _expect(one, "PRESENT", "request", feature)
    right = as_sent(feature, case)
    shown = one["value"] if feature.text else float(np.float32(one["value"]))
    if shown != right:
        raise Wrong(f"{feature.name} is {one['value']!r}, but {right!r} was sent")


def _examine_derived(feature: Feature, one: Mapping[str, Any], right: float | None) -> None:
    _expect(one, one["status"], "derived", feature)
    if (one["value"] is None) != (right is None) or (
        right is not None and abs(one["value"] - right) > abs(right) * 1e-12
    ):
        raise Wrong(f"{feature.name} is {one['value']!r}, but its inputs make {right!r}")
    if right is not None and one["status"] == "PRESENT":
        return
    if one["status"] not in _STATUSES or (right is None and one["status"] == "PRESENT"):
        raise Wrong(f"{feature.name} has no value and yet the status {one['status']}")


def _held(view: View, case: Case, one: Mapping[str, Any], truth: Truth, span: Span) -> list[Row | None]:
    """Every version of the entity's row that the read may have found.

    It began `cached_s` before the answer was made, and may have found what was current until it was answered.
    """
    since = span.sent - (one["cached_s"] or 0.0) - SLACK_S
    return truth.during(view.name, case.key_of[view.name], since, span.answered)


def _examine_value(feature: Feature, one: Mapping[str, Any], rows: list[Row | None]) -> None:
    status = one["status"]
    if status == "ERROR":
        return
    for row in rows:
        if status_of(feature, row) == status and (status != "PRESENT" or (row and row[feature.column] == one["value"])):
            return
    held = [None if row is None else row.get(feature.column) for row in rows]
    raise Wrong(f"{feature.name} is {one['value']!r} ({status}, {one['source']}), but the store held {held}")


def _examine_policy(feature: Feature, view: View, one: Mapping[str, Any]) -> None:
    if one["status"] == "PRESENT":
        _examine_age(feature, view, one)
    else:
        _examine_substitute(feature, one)


def _examine_age(feature: Feature, view: View, one: Mapping[str, Any]) -> None:
    bounds = {"store": view.ttl_s, "cache": view.ttl_s, "stale": view.error_s}
    if one["source"] not in bounds:
        raise Wrong(f"{feature.name} is PRESENT and yet from {one['source']!r}")
    if one["cached_s"] is None or one["cached_s"] > bounds[one["source"]] + SLACK_S:
        raise Wrong(f"{feature.name} was read {one['cached_s']} s ago, too long for {one['source']!r}")


def _examine_substitute(feature: Feature, one: Mapping[str, Any]) -> None:
    assert feature.absent is not None  # noqa: S101  # stored features have one
    if one["status"] not in _STATUSES:
        raise Wrong(f"{feature.name} has the status {one['status']!r}")
    action = feature.absent[one["status"]]
    right = feature.default if action == "default" else None
    if action == "fail" or one["source"] != action or one["value"] != right:
        raise Wrong(f"{feature.name} is {one['value']!r} from {one['source']}, but {one['status']} says {action}")


def _expect(one: Mapping[str, Any], status: str, source: str, feature: Feature) -> None:
    if (one["status"], one["source"]) != (status, source):
        raise Wrong(f"{feature.name} is {one['status']} from {one['source']}, not {status} from {source}")
