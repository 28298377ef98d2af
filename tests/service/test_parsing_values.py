"""Keys that look alike stay apart, and a request field is of its declared type or refused by name."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InstanceInvalid
from features.instances import InstanceParser, field_value, rounded_floats
from features.planning import Instances
from features.spec import RequestField, Spec
from features.values import FLOAT32_MAX, DType
from service.parsing import ParsedRequest, RequestParser
from service.schemas import Parameters


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("007", "007"),
        ("7", "7"),
        (7, "7"),
        (1001.0, "1001"),
        ("1001.0", "1001.0"),
        (2**53 + 1, "9007199254740993"),
        (2**64 - 1, "18446744073709551615"),
        (-0.0, "0"),
        (" 7", " 7"),
        ("７", "７"),  # noqa: RUF001  # a full-width digit is another character: the point
    ],
)
def test_a_string_key_keeps_what_was_sent_apart(spec_of: Callable[[str], Spec], value: Any, key: str) -> None:
    assert InstanceParser(spec_of("string")).instance(value).keys == (key,)


@pytest.mark.parametrize("value", [2.0**53, 2.0**53 + 2, 1e300, 7.5, True, False, "", "a\x00b"])
def test_what_no_longer_tells_which_key_was_meant_is_refused(spec_of: Callable[[str], Spec], value: Any) -> None:
    with pytest.raises(InstanceInvalid) as caught:
        InstanceParser(spec_of("string")).instance(value)
    assert caught.value.field == "customer_id"


NOT_INT64 = ["007", "+7", "7.0", " 7", "7\n", "1e3", "\u0667", "-0", "", "9223372036854775808"]


@pytest.mark.parametrize("value", [*NOT_INT64, 2**63, -(2**63) - 1, 7.5, 2.0**53, True])
def test_an_int64_key_takes_canonical_integers_only(spec_of: Callable[[str], Spec], value: Any) -> None:
    with pytest.raises(InstanceInvalid) as caught:
        InstanceParser(spec_of("int64")).instance(value)
    assert caught.value.field == "customer_id"


@pytest.mark.parametrize("value", ["9223372036854775807", 2**63 - 1, -(2**63), "-9223372036854775808", "0", -0.0])
def test_an_int64_key_reaches_to_its_ends(spec_of: Callable[[str], Spec], value: Any) -> None:
    assert InstanceParser(spec_of("int64")).instance(value).keys == (str(int(value)),)


FLOAT = RequestField("amount", DType.FLOAT, minimum=0)


@pytest.mark.parametrize(
    ("declared", "value", "found"),
    [
        (FLOAT, 5, 5.0),
        (FLOAT, 0, 0.0),
        (FLOAT, 0.1, 0.10000000149011612),
        (RequestField("x", DType.FLOAT), FLOAT32_MAX, FLOAT32_MAX),
        (RequestField("x", DType.FLOAT), -1e-300, 0.0),
        (RequestField("x", DType.INT), 3.0, 3),
        (RequestField("x", DType.INT), 2**63 - 1, 2**63 - 1),
        (RequestField("x", DType.BOOL), False, False),
        (RequestField("x", DType.STRING), "", ""),
        (RequestField("x", DType.STRING), "7", "7"),
    ],
)
def test_a_value_of_the_declared_type_is_taken(declared: RequestField, value: Any, found: Any) -> None:
    taken = field_value(value, declared)
    assert (taken, type(taken)) == (found, type(found))


@pytest.mark.parametrize(
    ("declared", "value", "said"),
    [
        (FLOAT, -0.01, "'amount' must be at least 0"),
        (RequestField("amount", DType.INT, maximum=9), 10, "'amount' must be at most 9"),
        (FLOAT, True, "'amount' must be a finite number that float32 can hold"),
        (FLOAT, "5", "'amount' must be a finite number"),
        (FLOAT, None, "'amount' must be a finite number"),
        (FLOAT, float("nan"), "'amount' must be a finite number"),
        (FLOAT, float("inf"), "'amount' must be a finite number"),
        (FLOAT, 3.5e38, "'amount' must be a finite number that float32 can hold"),
        (FLOAT, [5], "'amount' must be a finite number"),
        (RequestField("amount", DType.INT), 3.5, "'amount' must be a 64-bit integer"),
        (RequestField("amount", DType.INT), 2**63, "'amount' must be a 64-bit integer"),
        (RequestField("amount", DType.INT), 2.0**53, "'amount' must be a 64-bit integer"),
        (RequestField("amount", DType.INT), True, "'amount' must be a 64-bit integer"),
        (RequestField("amount", DType.BOOL), 1, "'amount' must be true or false"),
        (RequestField("amount", DType.STRING), 1, "'amount' must be a string"),
    ],
)
def test_any_other_value_is_refused_by_the_fields_name(declared: RequestField, value: Any, said: str) -> None:
    with pytest.raises(InstanceInvalid, match=said) as caught:
        field_value(value, declared)
    assert caught.value.field == "amount"


@given(st.floats(-FLOAT32_MAX, FLOAT32_MAX))
def test_a_float_is_rounded_once(value: float) -> None:
    declared = RequestField("x", DType.FLOAT)
    rounded = field_value(value, declared)
    assert field_value(rounded, declared) == rounded


@given(st.lists(st.floats() | st.integers(-(2**70), 2**70), min_size=1))
def test_floats_of_a_column_are_those_of_each_or_refused_together(values: list[float]) -> None:
    column = np.array([float(value) for value in values])
    try:
        each = [field_value(float(value), FLOAT) for value in values]
    except InstanceInvalid:
        with pytest.raises(InstanceInvalid):
            rounded_floats(column, FLOAT)
        return
    assert rounded_floats(column, FLOAT).tolist() == each


def test_columns_are_understood_as_rows_are(spec_of: Callable[[str], Spec]) -> None:
    spec = spec_of("string")
    parser = RequestParser(spec, 100)
    keys = ["007", 7, 7.5, "", "x"]
    request = ParsedRequest(5, Parameters(), Instances(1, 0))
    parser.read_columns(request, [keys[:2]], 0)
    parser.read_columns(request, [keys[2:]], 2)
    assert request.instances.keys == (["007", "7", "x"],)
    assert request.indexes == [0, 1, 4]
    assert {at: error.field for at, error in request.failures.items()} == {2: "customer_id", 3: "customer_id"}


@pytest.mark.parametrize("at", [0, 1, 4])
@pytest.mark.parametrize("shape", ["objects", "lists", "columns"])
def test_nan_is_refused_wherever_it_stands_among_others(spec_of: Callable[[str], Spec], shape: str, at: int) -> None:
    spec, amounts = spec_of("demo"), [12.5, 3.0, 5.5, 900.0, 0.5]
    amounts[at] = math.nan
    rows: list[Any] = [{"customer_id": "C1", "merchant_id": "M1", "amount": one, "channel": "x"} for one in amounts]
    instances, parser = Instances(len(spec.keys), len(spec.fields)), InstanceParser(spec)
    if shape == "columns":
        failures = parser.read_columns([[row[name] for row in rows] for name in spec.input_names], instances)
    else:
        lists = [[row[name] for name in spec.input_names] for row in rows]
        failures = parser.read(rows if shape == "objects" else lists, instances)
    assert {index: str(error) for index, error in failures.items()} == {
        at: "'amount' must be a finite number that float32 can hold"
    }
    assert [instances[index].fields[0] for index in range(len(instances))] == [one for one in amounts if one == one]  # noqa: PLR0124  # not NaN
