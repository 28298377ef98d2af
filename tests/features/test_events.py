"""Facts are frozen, and nobody has to listen."""

import dataclasses

import pytest

from features.events import CacheLookedUp, Event, Nobody, StoreRead


def test_facts_cannot_be_changed() -> None:
    for fact in (CacheLookedUp("v", fresh=1), StoreRead("v", 1, 0.1, "ok")):
        assert isinstance(fact, Event)
        with pytest.raises(dataclasses.FrozenInstanceError):
            fact.view = "w"  # type: ignore[misc]  # the point of the test


def test_nobody_takes_no_note() -> None:
    Nobody().observe(CacheLookedUp("v"))
