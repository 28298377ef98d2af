"""A spec is checked and frozen, and knows what follows from it."""

import pytest

from features.keys import KeyPart
from features.spec import (
    AbsentPolicy,
    Action,
    DerivedFeature,
    Entity,
    Feature,
    RequestFeature,
    Spec,
    StoredFeature,
    derivation_order,
    single_view_spec,
)
from features.transforms import BUILT_IN
from features.values import Column, DType, Status


def _derived(name: str, *inputs: int) -> DerivedFeature:
    return DerivedFeature(name, BUILT_IN["sum"], inputs)


def test_every_status_but_present_has_its_own_action() -> None:
    policy = AbsentPolicy(null=Action.DEFAULT, not_found=Action.MISSING, too_old=Action.FAIL, error=Action.DEFAULT)
    assert policy.action(Status.NULL) is Action.DEFAULT
    assert policy.action(Status.NOT_FOUND) is Action.MISSING
    assert policy.action(Status.OUTSIDE_MAX_AGE) is Action.FAIL
    assert policy.action(Status.ERROR) is Action.DEFAULT
    assert policy.actions == (Action.DEFAULT, Action.MISSING, Action.FAIL, Action.DEFAULT)
    with pytest.raises(KeyError):
        policy.action(Status.PRESENT)


def test_derived_features_come_after_their_inputs() -> None:
    features: tuple[Feature, ...] = (
        _derived("c", 1, 3),
        _derived("b", 2, 3),
        _derived("a", 3, 3),
        RequestFeature("amount", 0, DType.FLOAT),
    )
    assert list(derivation_order(features)) == [2, 1, 0]


def test_a_ring_of_derived_features_is_named() -> None:
    features: tuple[Feature, ...] = (_derived("z", 1, 1), _derived("a", 2, 2), _derived("b", 1, 1))
    with pytest.raises(ValueError, match=r"^a -> b -> a$"):
        derivation_order(features)


def test_a_key_shared_by_entities_is_sent_once() -> None:
    first, second = KeyPart("customer_id"), KeyPart("merchant_id")
    entities = (Entity("merchant", (second,)), Entity("pair", (first, second)))
    spec = Spec("n", "1", entities, (), (), ())
    assert spec.keys == (second, first)


def test_a_model_without_a_spec_reads_all_its_features_from_one_view() -> None:
    spec = single_view_spec(
        name="b", view="v", source="projects/p", keys=("a", "b"), features=[("x", DType.FLOAT), ("y", DType.STRING)]
    )
    assert spec.input_names == ("a", "b")
    (view,) = spec.views
    assert (view.name, view.source, view.entity.keys) == ("v", "projects/p", (KeyPart("a"), KeyPart("b")))
    assert view.layout.columns == (Column("x", DType.FLOAT), Column("y", DType.STRING))
    assert spec.features == (StoredFeature("x", 0, 0, DType.FLOAT), StoredFeature("y", 0, 1, DType.STRING))
    assert (spec.name, spec.version) == ("b", "0")
