"""Errors say who is at fault and where."""

import pytest

from features.errors import (
    FeaturesError,
    FeatureUnread,
    SpecError,
    StoreAnswerInvalid,
    StoreDenied,
    StoreError,
    StoreFileChanged,
    StoreFileError,
    StoreTimeout,
    StoreUnavailable,
    StoreViewUnreadable,
)


def test_a_spec_error_begins_with_its_place_where_there_is_one() -> None:
    assert str(SpecError("serving.yaml:3: views", "is empty")) == "serving.yaml:3: views: is empty"
    assert str(SpecError("", "is empty")) == "is empty"


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (StoreError, "error"),
        (StoreUnavailable, "unavailable"),
        (StoreFileError, "unavailable"),
        (StoreTimeout, "timeout"),
        (StoreDenied, "denied"),
        (StoreAnswerInvalid, "invalid"),
        (StoreViewUnreadable, "invalid"),
        (StoreFileChanged, "invalid"),
    ],
)
def test_each_store_error_has_an_outcome_for_telemetry(kind: type[StoreError], outcome: str) -> None:
    assert kind("x").outcome == outcome


def test_an_unread_feature_keeps_the_cause() -> None:
    cause = StoreTimeout("slow")
    error = FeatureUnread("m", feature="f", view="v", cause=cause)
    assert (error.feature, error.view, error.cause) == ("f", "v", cause)
    assert isinstance(error, FeaturesError)
