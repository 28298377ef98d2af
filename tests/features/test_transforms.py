"""Undefined results are missing, never infinite."""

import warnings

import numpy as np
import pytest

from features.transforms import BUILT_IN, Array, Transform, named
from features.values import FLOAT32_MAX

_NAN = float("nan")


def _of(*numbers: float) -> Array:
    return np.array(numbers, dtype=np.float64)


@pytest.mark.parametrize(
    ("name", "inputs", "expected"),
    [
        ("ratio", (_of(1, 0, 1, -1, _NAN), _of(2, 0, 0, 0.0, 1)), _of(0.5, _NAN, _NAN, _NAN, _NAN)),
        ("ratio", (_of(1, 1e300, 5e-324), _of(-0.0, 1e-300, 2)), _of(_NAN, _NAN, 0.0)),
        ("difference", (_of(1, 1e308, _NAN), _of(3, -1e308, 1)), _of(-2, _NAN, _NAN)),
        ("product", (_of(2, 1e200, np.inf), _of(3, 1e200, 0)), _of(6, _NAN, _NAN)),
        ("sum", (_of(2, FLOAT32_MAX), _of(3, FLOAT32_MAX)), _of(5, _NAN)),
        ("log1p", (_of(0, -1, -2, _NAN),), _of(0, _NAN, _NAN, _NAN)),
        ("abs", (_of(-3, 4, _NAN, -FLOAT32_MAX),), _of(3, 4, _NAN, FLOAT32_MAX)),
    ],
)
def test_what_is_undefined_or_beyond_float32_becomes_missing(
    name: str, inputs: tuple[Array, ...], expected: Array
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(BUILT_IN[name](*inputs), expected)


def test_the_arity_of_a_transform_is_the_number_of_its_parameters() -> None:
    assert {name: transform.arity for name, transform in BUILT_IN.items()} == {
        "ratio": 2,
        "difference": 2,
        "product": 2,
        "sum": 2,
        "log1p": 1,
        "abs": 1,
    }


def test_a_deployment_can_name_its_own_functions() -> None:
    def half(value: Array) -> Array:
        return value / 2

    transform = named({"half": half})["half"]
    assert transform == Transform("half", 1, half)
    np.testing.assert_array_equal(transform(_of(3)), _of(1.5))


def test_a_transform_that_returns_float32_still_gives_float64() -> None:
    transform = Transform("narrow", 1, lambda value: value.astype(np.float32))
    assert transform(_of(1.5)).dtype == np.float64


def test_a_transform_works_on_no_rows() -> None:
    assert BUILT_IN["ratio"](_of(), _of()).shape == (0,)


def test_the_shipped_functions_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        BUILT_IN["ratio"] = BUILT_IN["sum"]  # type: ignore[index]  # the point of the test
