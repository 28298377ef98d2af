"""Which rows of which views a request needs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.keys import KeyPart
from features.planning import Instance, Instances, Lookup, Planner
from features.spec import Entity, FeatureView, Spec
from features.values import Column, DType, RowLayout

_CUSTOMER, _MERCHANT = KeyPart("customer_id"), KeyPart("merchant_id")
_LAYOUT = RowLayout((Column("x", DType.FLOAT),))
_ENTITIES = (
    Entity("customer", (_CUSTOMER,)),
    Entity("merchant", (_MERCHANT,)),
    Entity("pair", (_MERCHANT, _CUSTOMER)),
)
_VIEWS = tuple(FeatureView(entity.name, entity, _LAYOUT) for entity in _ENTITIES)
_PLANNER = Planner(Spec("n", "1", _ENTITIES, _VIEWS, (), ()))


def _plan(*keys: tuple[str, str]) -> tuple[Lookup, ...]:
    instances = Instances(2)
    for one in keys:
        instances.append(Instance(one))
    return _PLANNER.plan(instances)


def test_each_view_gets_the_parts_of_its_own_entity_in_the_entitys_order() -> None:
    customer, merchant, pair = _plan(("C1", "M1"))
    assert (customer.view, customer.keys, customer.distinct()) == (_VIEWS[0], ["C1"], ["C1"])
    assert (merchant.view, merchant.keys) == (_VIEWS[1], ["M1"])
    assert (pair.view, pair.keys, pair.distinct()) == (_VIEWS[2], [("M1", "C1")], [("M1", "C1")])


def test_a_repeated_key_is_read_once() -> None:
    customer, merchant, pair = _plan(("C1", "M1"), ("C1", "M2"), ("C1", "M1"))
    assert (customer.keys, customer.distinct()) == (["C1", "C1", "C1"], ("C1",))
    assert merchant.distinct() == ("M1", "M2")
    assert pair.distinct() == (("M1", "C1"), ("M2", "C1"))


def test_no_instances_need_no_rows() -> None:
    assert all((list(one.keys), one.distinct()) == ([], ()) for one in _plan())


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("XYZ"))))
def test_keys_follow_the_instances_and_distinct_holds_each_once(keys: list[tuple[str, str]]) -> None:
    for lookup in _plan(*keys):
        assert len(lookup.keys) == len(keys)
        assert len(lookup.distinct()) == len(set(lookup.distinct()))
        assert set(lookup.distinct()) == set(lookup.keys)


def test_instances_are_the_same_by_column_and_one_by_one() -> None:
    given = [Instance(("C1", "M1"), (1.0,)), Instance(("C2", "M1"), (2.0,))]
    instances = Instances.of(given)
    assert (instances.keys, instances.fields) == ((["C1", "C2"], ["M1", "M1"]), ([1.0, 2.0],))
    instances.extend([["C3"], ["M3"]], [[3.0]])
    assert [instances[at] for at in range(len(instances))] == [*given, Instance(("C3", "M3"), (3.0,))]
    assert repr(instances) == "<3 Instances>"


@pytest.mark.parametrize(
    ("texts", "which"),
    [
        (["B", "A"], [1, 0, 1]),
        (["A", "B", "C"], [0, 1, 0]),  # nobody has C, so nobody needs it read
        (["A", "B", "A"], [0, 1, 2]),
        (["A", "B"], [0, 1]),  # not of all instances
        (["A"], None),
    ],
)
def test_what_is_known_of_distinct_keys_is_used_only_if_it_is_right(texts: list[str], which: list[int] | None) -> None:
    instances = Instances(2)
    instances.extend([["A", "B", "A"], ["M", "M", "M"]], [])
    instances.distinct = {0: (texts, None if which is None else np.array(which, dtype=np.intp))}
    customer, merchant, pair = _PLANNER.plan_shared(instances)
    assert sorted(map(str, customer.lookup.keys)) == ["A", "B"]
    assert customer.which is not None
    assert [customer.lookup.keys[at] for at in customer.which] == ["A", "B", "A"]
    assert (merchant.lookup.keys, pair.lookup.keys) == (("M",), (("M", "A"), ("M", "B")))


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("XYZ"))))
def test_what_instances_share_is_named_once_and_each_knows_which_one_it_has(keys: list[tuple[str, str]]) -> None:
    instances = Instances(2)
    instances.extend([[one for one, _ in keys], [other for _, other in keys]], [])
    for lookup, (shared, which) in zip(_plan(*keys), _PLANNER.plan_shared(instances), strict=True):
        assert shared.view is lookup.view
        assert list(shared.keys) == list(lookup.distinct())
        places = range(len(keys)) if which is None else which.tolist()
        assert [shared.keys[at] for at in places] == list(lookup.keys)
