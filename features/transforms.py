"""Derived features: named functions that training and serving share.

A transform takes arrays of float64, one per input, each of shape `(n_rows,)`, and returns one such array. NaN means
missing: it goes in where an input is missing and comes out where the result is undefined. So a division by zero, a
logarithm of a negative number and an overflow all give NaN, never infinity.

A deployment adds its own through `KEYSCORE_TRANSFORMS=package.module`: a module, installed in the image, with a
dictionary `TRANSFORMS` of name to function. Code is never taken from a bundle.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.values import FLOAT32_MAX

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Transform:
    """A named function of arrays.

    Attributes:
        name: As the spec writes it.
        arity: How many inputs it takes.
        function: The function itself.
    """

    name: str
    arity: int
    function: Callable[..., Array]

    def __call__(self, *inputs: Array) -> Array:
        """The derived values, shape `(n_rows,)`; what float32 cannot hold becomes NaN.

        Args:
            inputs: `arity` arrays of float64, each of shape `(n_rows,)`.
        """
        with np.errstate(all="ignore"):  # undefined results are what NaN is for
            result = np.asarray(self.function(*inputs), dtype=np.float64)
            return np.where(np.abs(result) <= FLOAT32_MAX, result, np.nan)  # false for NaN and infinity too


def ratio(numerator: Array, denominator: Array) -> Array:
    """`numerator / denominator`; missing where the denominator is zero."""
    return numerator / denominator


def difference(minuend: Array, subtrahend: Array) -> Array:
    """`minuend - subtrahend`."""
    return minuend - subtrahend


def product(first: Array, second: Array) -> Array:
    """`first * second`."""
    return first * second


def total(first: Array, second: Array) -> Array:
    """`first + second`."""
    return first + second


def log1p(value: Array) -> Array:
    """Natural logarithm of `1 + value`; missing where `value <= -1`."""
    return np.log1p(value)


def absolute(value: Array) -> Array:
    """Magnitude of `value`."""
    return np.abs(value)


def named(functions: Mapping[str, Callable[..., Array]]) -> Mapping[str, Transform]:
    """The functions as transforms; a function's positional parameters are its inputs."""
    return {
        name: Transform(name, len(inspect.signature(function).parameters), function)
        for name, function in functions.items()
    }


BUILT_IN: Final[Mapping[str, Transform]] = MappingProxyType(
    named(
        {
            "ratio": ratio,
            "difference": difference,
            "product": product,
            "sum": total,
            "log1p": log1p,
            "abs": absolute,
        }
    )
)
