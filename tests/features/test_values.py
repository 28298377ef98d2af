"""A row keeps exactly what the store said, packed."""

import copy
import math
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.values import FLOAT32_MAX, Column, DType, RowLayout, Value, ValueMismatch, as_dtype

LAYOUT = RowLayout(
    (
        Column("balance", DType.FLOAT),
        Column("visits", DType.INT),
        Column("active", DType.BOOL),
        Column("city", DType.STRING),
        Column("limit", DType.FLOAT),
    )
)

_BY_DTYPE: dict[DType, st.SearchStrategy[Value]] = {
    DType.FLOAT: st.floats(-FLOAT32_MAX, FLOAT32_MAX),
    DType.INT: st.integers(-(2**63), 2**63 - 1),
    DType.BOOL: st.booleans(),
    DType.STRING: st.text(),
}


def _values(row_values: dict[str, Value]) -> list[Value]:
    row = LAYOUT.pack(row_values, None)
    return [LAYOUT.value(row, at) for at in range(len(LAYOUT.columns))]


def test_values_come_back_as_they_were_put_in() -> None:
    given_ = {"balance": 1234.56, "visits": 3, "active": True, "city": "Łódź", "limit": -0.0}
    back = _values(given_)
    assert back == list(given_.values())
    assert back[2] is True
    assert str(back[4]) == "-0.0"


def test_integers_beyond_2_to_the_53_stay_exact() -> None:
    for number in (2**53 + 1, 2**63 - 1, -(2**63)):
        assert _values({"visits": number})[1] == number


@pytest.mark.parametrize("null", [None, math.nan])
def test_none_nan_and_absent_are_all_null(null: Value) -> None:
    assert _values(dict.fromkeys(("balance", "visits", "active", "city"), null)) == [None] * 5
    assert LAYOUT.pack({}, None).nulls == 0b11111


def test_numbers_hold_every_numeric_column_in_order_and_nan_for_null() -> None:
    row = LAYOUT.pack({"balance": 1.5, "visits": 2, "active": True, "city": "x"}, None)
    numbers = struct.unpack("=4d", row.numbers)
    assert numbers[:3] == (1.5, 2.0, 1.0)
    assert math.isnan(numbers[3])
    assert LAYOUT.numeric == ("balance", "visits", "active", "limit")
    assert [LAYOUT.number_position(at) for at in range(5)] == [0, 1, 2, -1, 3]
    assert LAYOUT.pack({}, None).numbers == struct.pack("=4d", *[math.nan] * 4)


def test_columns_that_the_model_does_not_need_are_dropped() -> None:
    assert LAYOUT.pack({"balance": 1.0, "surplus": object()}, None) == LAYOUT.pack({"balance": 1.0}, None)  # type: ignore[dict-item]  # whatever it is


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (True, DType.FLOAT, 1.0),
        (7, DType.FLOAT, 7.0),
        (FLOAT32_MAX, DType.FLOAT, FLOAT32_MAX),
        (5e-324, DType.FLOAT, 5e-324),
        (7, DType.STRING, "7"),
        (2**70, DType.STRING, str(2**70)),
        ("", DType.STRING, ""),
        ("007", DType.STRING, "007"),
    ],
)
def test_widening_is_allowed(value: object, dtype: DType, expected: Value) -> None:
    got = as_dtype(value, Column("c", dtype))
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ("1", DType.FLOAT),
        (math.inf, DType.FLOAT),
        (-math.inf, DType.FLOAT),
        (1e308, DType.FLOAT),
        (-1e39, DType.FLOAT),
        (10**400, DType.FLOAT),
        (b"1", DType.FLOAT),
        ([1.0], DType.FLOAT),
        (1.0, DType.INT),
        (True, DType.INT),
        ("1", DType.INT),
        (2**63, DType.INT),
        (-(2**63) - 1, DType.INT),
        (1, DType.BOOL),
        (0.0, DType.BOOL),
        ("true", DType.BOOL),
        (1.0, DType.STRING),
        (False, DType.STRING),
        (b"x", DType.STRING),
        (math.inf, DType.STRING),
    ],
)
def test_anything_else_is_a_mismatch_that_names_column_and_type_and_not_the_value(value: object, dtype: DType) -> None:
    with pytest.raises(ValueMismatch) as refused:
        as_dtype(value, Column("spend", dtype))
    assert str(refused.value) == f"column 'spend' does not hold a {dtype}"
    assert (refused.value.column, refused.value.dtype) == ("spend", dtype)


def test_one_event_time_stands_for_all_columns() -> None:
    row = LAYOUT.pack({}, 50.0)
    assert (row.event_time, row.event_times) == (50.0, None)
    assert LAYOUT.event_time(row, 2) == 50.0


def test_columns_may_have_event_times_of_their_own_and_the_row_is_as_old_as_the_oldest() -> None:
    row = LAYOUT.pack({}, 50.0, {"visits": 40.0, "city": 60.0, "surplus": 1.0})
    assert row.event_time == 40.0
    assert [LAYOUT.event_time(row, at) for at in range(5)] == [50.0, 40.0, 50.0, 60.0, 50.0]


def test_one_undated_value_makes_the_row_undated_and_leaves_the_other_dates() -> None:
    row = LAYOUT.pack({}, 50.0, {"visits": None})
    assert row.event_time is None
    assert [LAYOUT.event_time(row, at) for at in (0, 1)] == [50.0, None]


@pytest.mark.parametrize("moment", [50.0, None])
def test_event_times_that_are_all_equal_are_kept_once(moment: float | None) -> None:
    row = LAYOUT.pack({}, 70.0, {column.name: moment for column in LAYOUT.columns})
    assert (row.event_time, row.event_times) == (moment, None)


def test_a_layout_without_columns_packs_an_empty_row() -> None:
    row = RowLayout(()).pack({"a": 1.0}, 50.0, {"a": 40.0})
    assert (row.numbers, row.exact, row.nulls, row.event_time, row.event_times) == (b"", (), 0, 50.0, None)


def test_a_layout_can_be_pickled_and_copied() -> None:
    """Beam sends it to its workers."""
    for twin in (pickle.loads(pickle.dumps(LAYOUT)), copy.deepcopy(LAYOUT)):  # noqa: S301  # our own bytes
        assert twin == LAYOUT
        assert twin.pack({"visits": 3}, 1.0) == LAYOUT.pack({"visits": 3}, 1.0)


@given(st.data())
def test_every_row_of_every_layout_comes_back_exactly(data: st.DataObject) -> None:
    dtypes = data.draw(st.lists(st.sampled_from(DType), max_size=8))
    layout = RowLayout(tuple(Column(f"c{at}", dtype) for at, dtype in enumerate(dtypes)))
    values = {
        column.name: data.draw(st.none() | _BY_DTYPE[column.dtype], label=column.name) for column in layout.columns
    }
    times = data.draw(
        st.none() | st.fixed_dictionaries({}, optional=dict.fromkeys(values, st.none() | st.floats(0, 2e9)))
    )
    row = layout.pack(values, 1e9, times)
    assert {column.name: layout.value(row, at) for at, column in enumerate(layout.columns)} == values
    for at, column in enumerate(layout.columns):
        value = values[column.name]
        assert type(layout.value(row, at)) is type(value)
        assert layout.event_time(row, at) == (times or {}).get(column.name, 1e9)
    assert len(row.numbers) == 8 * len(layout.numeric)


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1])
def test_a_large_integer_is_exact_as_an_int_and_rounded_as_a_float(value: int) -> None:
    assert as_dtype(value, Column("a", DType.INT)) == value
    assert as_dtype(value, Column("a", DType.FLOAT)) == float(value)


def test_text_with_a_lone_surrogate_fits_no_column() -> None:
    with pytest.raises(ValueMismatch):
        as_dtype("\udcff", Column("a", DType.STRING))
    assert as_dtype("žluť", Column("a", DType.STRING)) == "žluť"


@given(
    st.lists(
        st.floats(-3.5e38, 3.5e38) | st.sampled_from([math.nan, math.inf, -math.inf, 1e308, None, 7, True, "x", -0.0]),
        min_size=1,
        max_size=4,
    )
)
def test_a_row_of_nothing_but_floats_is_packed_like_any_other(values: list[Value]) -> None:
    """All at once where it can be; against value by value."""
    columns = [Column(f"c{at}", DType.FLOAT) for at in range(len(values))]
    sent = {column.name: value for column, value in zip(columns, values, strict=True)}

    def pack(*more: Column) -> bytes | str:
        try:
            return RowLayout((*columns, *more)).pack(sent, None).numbers
        except ValueMismatch as error:
            return str(error)

    assert pack() == pack(Column("a text, which makes it go value by value", DType.STRING))


def test_a_row_of_floats_that_lacks_one_has_a_null() -> None:
    layout = RowLayout((Column("a", DType.FLOAT), Column("b", DType.FLOAT)))
    row = layout.pack({"a": 1.0}, None)
    assert (layout.value(row, 0), layout.value(row, 1), row.nulls) == (1.0, None, 0b10)


def test_text_of_a_kind_of_its_own_is_kept_as_plain_text() -> None:
    """Columnar files give such."""
    kept = as_dtype(np.str_("Oslo"), Column("city", DType.STRING))
    assert (type(kept), kept) == (str, "Oslo")
