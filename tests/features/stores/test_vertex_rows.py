"""Rows of floats that are cut out of their bytes are those that are read feature by feature."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.stores.base import ReadAnswer
from features.stores.vertex_decoding import decode_features
from features.stores.vertex_messages import FetchResponse
from features.stores.vertex_rows import RowDecoder
from features.values import Column, DType, FeatureRow, RowLayout

LAYOUT = RowLayout(tuple(Column(name, DType.FLOAT) for name in ("b", "a", "c")))

Features = list[tuple[str, Any, float | None]]
"""Name, value and moment of each."""


def message(features: Features) -> Any:
    """What the store sends about one entity."""
    made = FetchResponse()
    made.data_key.key = "C1"
    made.key_values.SetInParent()
    for name, value, moment in features:
        pair = made.key_values.features.add(name=name)
        pair.value.SetInParent()
        if isinstance(value, float):
            pair.value.double_value = value
        elif isinstance(value, int):
            pair.value.int64_value = value
        if moment is not None:
            seconds, rest = divmod(moment, 1)
            pair.value.metadata.generate_time.seconds = int(seconds)
            pair.value.metadata.generate_time.nanos = round(rest * 1e9)
    return FetchResponse.FromString(made.SerializeToString())


def plain(*numbers: float, moment: float | None = 1_700_000_000.5) -> Any:
    return message([(name, number, moment) for name, number in zip("abcd", numbers, strict=False)])


class Reader:
    """Reads feature by feature, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, one: Any, layout: RowLayout) -> ReadAnswer:
        self.count += 1
        return decode_features(one, layout)


@pytest.fixture
def reader() -> Reader:
    return Reader()


def test_the_first_row_of_its_length_teaches_and_the_next_ones_are_cut(reader: Reader) -> None:
    decoder = RowDecoder(LAYOUT, reader)
    rows = [decoder.decode(plain(float(at), at + 0.5, -1.0 * at, 9.0)) for at in range(5)]
    assert reader.count == 1
    assert [LAYOUT.value(row, 0) for row in rows if isinstance(row, FeatureRow)] == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert [LAYOUT.value(row, 1) for row in rows if isinstance(row, FeatureRow)] == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("moment", [None, 0.0, 5.0, 1_700_000_000.0, 1_700_000_000.25, -3.0])
def test_a_row_that_is_cut_is_as_old_as_its_own_moment(moment: float | None) -> None:
    decoder = RowDecoder(LAYOUT)
    for _ in range(2):
        assert decoder.decode(plain(1.0, 2.0, 3.0, moment=moment)) == decode_features(
            plain(1.0, 2.0, 3.0, moment=moment), LAYOUT
        )


ODD: list[Features] = [
    [("a", 1.0, 5.0), ("b", 2.0, 5.0), ("c", 3.0, 6.0)],
    [("a", 1.0, 5.0), ("c", 2.0, 5.0), ("b", 3.0, 5.0)],
    [("a", 1.0, 5.0), ("b", math.nan, 5.0), ("c", 3.0, 5.0)],
    [("a", 1.0, 5.0), ("b", math.inf, 5.0), ("c", 3.0, 5.0)],
    [("a", 1.0, 5.0), ("b", 1e300, 5.0), ("c", 3.0, 5.0)],
    [("a", 1.0, 5.0), ("x", 2.0, 5.0), ("c", 3.0, 5.0)],
    [("a", 1.0, 5.0), ("a", 2.0, 5.0), ("c", 3.0, 5.0)],
]


@pytest.mark.parametrize("odd", ODD)
def test_a_row_that_is_as_long_but_not_alike_is_read_feature_by_feature(reader: Reader, odd: Features) -> None:
    decoder = RowDecoder(LAYOUT, reader)
    decoder.decode(plain(1.0, 2.0, 3.0, moment=5.0))
    found = decoder.decode(message(odd))
    assert reader.count == 2
    assert repr(found) == repr(decode_features(message(odd), LAYOUT))
    assert decoder.decode(plain(4.0, 5.0, 6.0, moment=5.0)) == decode_features(plain(4.0, 5.0, 6.0, moment=5.0), LAYOUT)
    assert reader.count == 2


@pytest.mark.parametrize(
    "features",
    [
        [],
        [("a", None, 5.0), ("b", 2.0, 5.0), ("c", 3.0, 5.0)],
        [("a", 7, 5.0), ("b", 2.0, 5.0), ("c", 3.0, 5.0)],
        [("a", 1.0, 5.0), ("b", 2.0, 5.0)],
    ],
)
def test_what_is_no_row_of_floats_teaches_nothing(reader: Reader, features: Features) -> None:
    decoder = RowDecoder(LAYOUT, reader)
    for _ in range(3):
        assert repr(decoder.decode(message(features))) == repr(decode_features(message(features), LAYOUT))
    assert reader.count == 3


def test_no_more_than_so_many_lengths_are_remembered() -> None:
    decoder = RowDecoder(RowLayout((Column("a", DType.FLOAT),)))
    for length in range(100):
        decoder.decode(message([("a", 1.0, None), ("x" * length, 1.0, None)]))
    assert len(decoder._templates) == 64


def test_a_layout_that_is_not_all_floats_is_read_feature_by_feature(reader: Reader) -> None:
    decoder = RowDecoder(RowLayout((Column("a", DType.FLOAT), Column("b", DType.INT))), reader)
    for _ in range(2):
        decoder.decode(message([("a", 1.0, 5.0), ("b", 7, 5.0)]))
    assert reader.count == 2


_VALUES = st.floats() | st.integers(-9, 9) | st.none()
_MOMENTS = st.sampled_from([None, 0.0, 5.0, 5.5, 1_700_000_000.0])


@given(st.lists(st.lists(st.tuples(st.sampled_from("abcd"), _VALUES, _MOMENTS), max_size=4), max_size=6))
def test_whatever_rows_come_in_whatever_order_they_are_decoded_as_if_each_were_the_first(rows: list[Features]) -> None:
    decoder = RowDecoder(LAYOUT)
    for features in [*rows, *rows]:
        assert repr(decoder.decode(message(features))) == repr(decode_features(message(features), LAYOUT))
