"""Every shape of an instance means the same entity; any other shape is refused by name."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from features.errors import InstanceInvalid
from features.instances import InstanceParser
from features.planning import Instance
from features.spec import Spec
from features.tf_example import Example


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def example(**values: Any) -> bytes:
    """A serialized tf.train.Example, as TFRecord files hold them."""
    made = Example()
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            feature = made.features.feature[name]
            if isinstance(one, int):
                feature.int64_list.value.append(one)
            elif isinstance(one, float):
                feature.float_list.value.append(one)
            else:
                feature.bytes_list.value.append(one.encode() if isinstance(one, str) else one)
    data: bytes = made.SerializeToString(deterministic=True)
    return data


ONE_STRING = ["1001", 1001, 1001.0, ["1001"], [1001], [1001.0], {"customer_id": "1001"}, {"customer_id": 1001}]
ONE_STRING += [
    {"customer_id": 1001.0},
    b64(b"1001"),
    b64(b"1001\n"),
    b64(example(customer_id="1001")),
    b64(example(customer_id=1001)),
    b64(example(customer_id=1001.0)),
]


@pytest.fixture
def parse(spec_of: Callable[[str], Spec]) -> Callable[..., Instance]:
    """`parse(kind, value)`: what the parser of that kind of spec makes of one instance."""
    return lambda kind, value, **options: InstanceParser(spec_of(kind)).instance(value, **options)


@pytest.mark.parametrize("kind", ["string", "int64"])
@pytest.mark.parametrize("value", ONE_STRING, ids=repr)
def test_every_shape_of_one_key_means_the_same_entity(parse: Callable[..., Instance], kind: str, value: Any) -> None:
    assert parse(kind, value) == Instance(("1001",))


@pytest.mark.parametrize(
    "value",
    [
        ["B7", 12],
        ["B7", "12"],
        ["B7", 12.0],
        {"branch": "B7", "number": 12},
        {"number": "12", "branch": "B7"},
        b64(example(branch="B7", number=12)),
        b64(example(branch="B7", number="12")),
    ],
    ids=repr,
)
def test_every_shape_of_two_keys_means_the_same_entity(parse: Callable[..., Instance], value: Any) -> None:
    assert parse("composite", value) == Instance(("B7", "12"))


@pytest.mark.parametrize(
    "value",
    [
        ["C1", 12.34, 3, True, "hi", -1],
        ["C1", 12.34, 3.0, True, "hi", -1.0],
        {"customer_id": "C1", "amount": 12.34, "count": 3, "new": True, "note": "hi", "delta": -1},
        {"delta": -1, "note": "hi", "new": True, "count": 3.0, "amount": 12.34, "customer_id": "C1"},
    ],
    ids=repr,
)
def test_keys_and_fields_come_by_name_or_in_declared_order(parse: Callable[..., Instance], value: Any) -> None:
    # 12.34 as float32: so an Example, whose floats are float32, gives the same score
    assert parse("fields", value) == Instance(("C1",), (12.34000015258789, 3, True, "hi", -1.0))


def test_an_example_carries_fields_too(parse: Callable[..., Instance]) -> None:
    sent = b64(example(customer_id="C1", merchant_id="M1", amount=12.34, channel="web"))
    assert parse("demo", sent) == parse("demo", ["C1", "M1", 12.34, "web"])
    assert parse("demo", b64(example(customer_id="C1", merchant_id="M1", amount=3, channel="web"))).fields == (3, "web")


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"\nC1", "\nC1"),
        (b"\nC1\n", "\nC1"),
        (b"C1\n\n", "C1\n"),
        (b"\x0a\x02\x0a\x00", "\n\x02\n\x00"),  # parses as an Example, but holds no declared name
        (example(other_id="C9"), example(other_id="C9").decode()),
        ("Zürich".encode(), "Zürich"),
        (b" 007 ", " 007 "),
    ],
)
def test_bytes_are_text_unless_they_are_an_example_that_holds_a_declared_name(
    parse: Callable[..., Instance], data: bytes, key: str
) -> None:
    if "\x00" in key:  # text it is; a NUL has no place in a key
        with pytest.raises(InstanceInvalid, match="without NUL"):
            parse("string", b64(data))
    else:
        assert parse("string", b64(data)).keys == (key,)


@pytest.mark.parametrize("encoded", ["QzE", "QzE=\n", "Q z E=", "QzE==", "-_-_", "é", "QUJD=", "===="])
def test_only_standard_base64_with_padding_is_read(parse: Callable[..., Instance], encoded: str) -> None:
    with pytest.raises(InstanceInvalid, match="standard base64 with padding"):
        parse("string", {"b64": encoded})


@pytest.mark.parametrize("value", [{"b64": 5}, {"b64": None}, {"b64": "QzE=", "customer_id": "C1"}])
def test_bytes_stand_alone(parse: Callable[..., Instance], value: Mapping[str, Any]) -> None:
    with pytest.raises(InstanceInvalid, match="base64 text and nothing else"):
        parse("string", value)


def test_bytes_that_are_neither_an_example_nor_text_are_refused(parse: Callable[..., Instance]) -> None:
    with pytest.raises(InstanceInvalid, match=r"a tf\.train\.Example or UTF-8 text"):
        parse("string", b64(b"\xff\xfe"))


@pytest.mark.parametrize("data", [b"C1", b"\x0a\x02\x0a\x00", example(other_id="C9"), b"\xff"])
def test_where_one_text_cannot_be_an_instance_bytes_must_be_an_example(
    parse: Callable[..., Instance], data: bytes
) -> None:
    with pytest.raises(InstanceInvalid, match=r"a tf\.train\.Example with branch, number"):
        parse("composite", b64(data))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"branch": "B7"}, "number"),
        ({"branch": ["B7", "B8"], "number": 1}, "branch"),
        ({"branch": b"\xff", "number": 1}, "branch"),
    ],
)
def test_an_example_without_one_usable_value_for_each_name_is_refused(
    parse: Callable[..., Instance], values: dict[str, Any], field: str
) -> None:
    with pytest.raises(InstanceInvalid) as caught:
        parse("composite", b64(example(**values)))
    assert caught.value.field == field


def test_undeclared_members_are_refused_unless_the_caller_says_to_ignore_them(
    parse: Callable[..., Instance],
) -> None:
    row = {"customer_id": "C1", "loaded_at": "2026-01-01"}
    with pytest.raises(InstanceInvalid, match="an instance may hold customer_id") as caught:
        parse("string", row)
    assert "loaded_at" not in str(caught.value)
    assert parse("string", row, ignore_extra=True).keys == ("C1",)
    packed = b64(example(customer_id="C1", loaded_at="2026"))
    with pytest.raises(InstanceInvalid):
        parse("string", packed)
    assert parse("string", packed, ignore_extra=True).keys == ("C1",)


@pytest.mark.parametrize("kind", ["string", "composite", "fields"])
@pytest.mark.parametrize("value", [None, True, [], [[]], {}, [None], [["C1"]], {"customer": "C1"}], ids=repr)
def test_any_other_shape_is_refused(parse: Callable[..., Instance], kind: str, value: Any) -> None:
    with pytest.raises(InstanceInvalid):
        parse(kind, value)


@pytest.mark.parametrize("value", ["C1", 7, 7.0])
@pytest.mark.parametrize("kind", ["composite", "fields"])
def test_a_bare_key_is_refused_where_more_is_needed(parse: Callable[..., Instance], kind: str, value: Any) -> None:
    with pytest.raises(InstanceInvalid, match="an instance must be an object with"):
        parse(kind, value)


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        ({}, "customer_id"),
        ({"customer_id": "C1"}, "merchant_id"),
        ({"customer_id": "C1", "merchant_id": "M1"}, "amount"),
        ({"customer_id": "C1", "merchant_id": "M1", "amount": 1, "chanel": "web"}, "channel"),
    ],
)
def test_a_missing_member_is_named(parse: Callable[..., Instance], value: dict[str, Any], missing: str) -> None:
    with pytest.raises(InstanceInvalid, match=f"'{missing}' is missing") as caught:
        parse("demo", value)
    assert caught.value.field == missing


def test_a_list_of_another_length_is_refused_by_naming_its_members(parse: Callable[..., Instance]) -> None:
    for values in (["C1"], ["C1", "M1", 1], ["C1", "M1", 1, "web", 2]):
        with pytest.raises(InstanceInvalid, match="a list must hold 4 values: customer_id, merchant_id, amount, chan"):
            parse("demo", values)


@pytest.mark.parametrize("number", [2.0**24, 16_777_217.0, 123_456_789.0, -(2.0**30)])
def test_a_float_of_an_example_that_may_have_lost_digits_is_no_key(
    parse: Callable[..., Instance], number: float
) -> None:
    """An Example's floats have 24 bits: 16777217 arrives as 16777216, another entity."""
    with pytest.raises(InstanceInvalid, match="customer_id"):
        parse("string", b64(example(customer_id=number)))


def test_zero_and_one_of_an_example_are_truth_values_where_such_are_declared(parse: Callable[..., Instance]) -> None:
    values = {"customer_id": "C1", "amount": 12.5, "count": 3, "note": "hi", "delta": -1}
    for sent, meant in ((1, True), (0, False)):
        assert parse("fields", b64(example(**values, new=sent))).fields[2] is meant
    with pytest.raises(InstanceInvalid, match="new"):
        parse("fields", b64(example(**values, new=2)))
