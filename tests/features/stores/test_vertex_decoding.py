"""Vertex AI's messages become rows by presence, never by truth, and nonsense becomes an error."""

from typing import Any

import pytest

from features.errors import StoreAnswerInvalid
from features.stores.base import ReadAnswer
from features.stores.vertex_decoding import decode_data_key, decode_features, decode_fetch_response, encode_data_key
from features.stores.vertex_messages import DataKey, FetchResponse
from features.values import Column, DType, EntityKey, FeatureRow, RowLayout, Value

LAYOUT = RowLayout(
    (
        Column("balance", DType.FLOAT),
        Column("visits", DType.INT),
        Column("active", DType.BOOL),
        Column("city", DType.STRING),
    )
)


def decode(message: Any) -> ReadAnswer:
    return decode_features(message, LAYOUT)


def answer(values: dict[str, tuple[str, object] | None], times: dict[str, float] | None = None) -> bytes:
    """A serialized answer with these fields set; None sets no value at all."""
    message = FetchResponse()
    message.key_values.SetInParent()
    for name, value in values.items():
        pair = message.key_values.features.add(name=name)
        pair.value.SetInParent()
        if value is not None:
            setattr(pair.value, *value)
        if times and name in times:
            moment = pair.value.metadata.generate_time
            moment.seconds, moment.nanos = int(times[name]), round(times[name] % 1 * 1e9)
    return bytes(message.SerializeToString())


def row_of(found: ReadAnswer) -> FeatureRow:
    assert isinstance(found, FeatureRow), found
    return found


def values_of(found: ReadAnswer) -> list[Value]:
    return [LAYOUT.value(row_of(found), column) for column in range(len(LAYOUT.columns))]


def test_zero_false_and_the_empty_string_are_values() -> None:
    data = answer(
        {
            "balance": ("double_value", 0.0),
            "visits": ("int64_value", 0),
            "active": ("bool_value", False),
            "city": ("string_value", ""),
        }
    )
    assert values_of(decode_fetch_response(data, "a", decode)) == [0.0, 0, False, ""]


def test_nothing_set_and_a_name_left_out_both_mean_null() -> None:
    assert values_of(decode_fetch_response(answer({"balance": None}), "a", decode)) == [None] * 4


def test_int64_is_exact_and_may_become_a_float_or_a_category() -> None:
    data = answer({"visits": ("int64_value", 2**53 + 1), "balance": ("int64_value", 7), "city": ("int64_value", 12)})
    assert values_of(decode_fetch_response(data, "a", decode)) == [7.0, 2**53 + 1, None, "12"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("balance", ("string_value", "12")),
        ("balance", ("double_value", float("inf"))),
        ("balance", ("bytes_value", b"12")),
        ("visits", ("double_value", 1.0)),
        ("active", ("int64_value", 1)),
        ("city", ("double_value", 1.5)),
    ],
)
def test_a_value_of_another_type_is_an_error(name: str, value: tuple[str, object]) -> None:
    assert isinstance(decode_fetch_response(answer({name: value}), "a", decode), StoreAnswerInvalid)


def test_an_array_is_an_error_where_it_is_needed_and_passed_over_where_not() -> None:
    message = FetchResponse()
    message.key_values.features.add(name="embedding").value.double_array_value.values.extend([1.0, 2.0])
    assert values_of(decode_fetch_response(message.SerializeToString(), "a", decode)) == [None] * 4
    message.key_values.features.add(name="balance").value.double_array_value.values.extend([1.0])
    assert isinstance(decode_fetch_response(message.SerializeToString(), "a", decode), StoreAnswerInvalid)


def test_nan_is_null() -> None:
    data = answer({"balance": ("double_value", float("nan"))})
    assert values_of(decode_fetch_response(data, "a", decode))[0] is None


def test_of_a_name_that_comes_twice_the_last_one_counts() -> None:
    data = answer({"balance": ("double_value", 1.0)}) + answer({"balance": ("double_value", 2.0)})
    assert values_of(decode_fetch_response(data, "a", decode))[0] == 2.0


def test_an_answer_that_says_nothing_is_no_row() -> None:
    assert decode_fetch_response(b"", "a", decode) is None


def test_bytes_that_are_no_message_are_an_error() -> None:
    assert isinstance(decode_fetch_response(b"\xff\xff", "a", decode), StoreAnswerInvalid)


def test_an_answer_about_another_entity_is_an_error() -> None:
    message = FetchResponse(data_key=DataKey(key="b"))
    message.key_values.SetInParent()
    assert isinstance(decode_fetch_response(message.SerializeToString(), "a", decode), StoreAnswerInvalid)


def test_each_value_keeps_its_own_event_time() -> None:
    data = answer(
        {"balance": ("double_value", 1.0), "visits": ("int64_value", 2), "city": ("string_value", "x")},
        {"balance": 100.5, "visits": 200.0},
    )
    row = row_of(decode_fetch_response(data, "a", decode))
    assert [LAYOUT.event_time(row, column) for column in range(4)] == [100.5, 200.0, None, None]
    assert row.event_time is None


def test_one_event_time_for_all_is_kept_once() -> None:
    data = answer(
        {"balance": ("double_value", 1.0), "visits": ("int64_value", 2), "city": None},
        {"balance": 100.0, "visits": 100.0},
    )
    row = row_of(decode_fetch_response(data, "a", decode))
    assert row.event_time == 100.0
    assert row.event_times is None


@pytest.mark.parametrize("key", ["C1", ("A", "B"), ("A", "B", "7")])
def test_keys_come_back_as_they_went(key: EntityKey) -> None:
    assert decode_data_key(encode_data_key(key)) == key


def test_a_composite_of_one_part_is_that_part_and_no_key_is_none() -> None:
    one = DataKey()
    one.composite_key.parts.append("C1")
    assert decode_data_key(one) == "C1"
    assert decode_data_key(DataKey()) is None
