"""Which type a column of a file has, over all its rows, and its cells as values of a type. Pure.

A number in a text file may be a number or a name made of digits, and only a person knows which. So text becomes a
number only where nothing is lost by it:

| every cell that is not empty is | the column is |
|---|---|
| `true`, `false` (also True, TRUE) | bool |
| an integer as `str(int)` spells it, within 64 bits | int |
| a decimal without leading zeros (`-0.5`, `.5`, `1.5e-07`) that holds no integer which a float64 would change | float |
| anything else: `007`, `1e5`, `1,000`, `2026-01-31`, 20 digits | string |

`1e5` is text because article numbers look so; `1e-05` is a number because that is how most languages write one.
An empty cell is null. `NaN` is null in a column of numbers, `inf` is refused there, and both are text elsewhere.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from features.values import FLOAT32_MAX, DType, Value

_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]*", re.ASCII).fullmatch
_DECIMAL: Final = re.compile(
    r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-][0-9]+)?|\.[0-9]+)|-?inf(?:inity)?",
    re.ASCII | re.IGNORECASE,
).fullmatch
_DECLARED_INTEGER: Final = re.compile(r"([+-]?[0-9]+)(?:\.0*)?", re.ASCII).fullmatch
_DECLARED_FLOAT: Final = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE
).fullmatch
_NAN: Final = frozenset({"NaN", "nan", "NAN"})
_BOOLS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECLARED_BOOLS: Final = {**_BOOLS, "1": True, "0": False}
_ALWAYS_EXACT: Final = 15  # digits that a float64 holds whatever they are
_INT64: Final = range(-(2**63), 2**63)
_INT64_DIGITS: Final = 19
_EXACT_FLOAT: Final = 2.0**53
_DTYPE_OF: Final = {bool: DType.BOOL, int: DType.INT, float: DType.FLOAT, str: DType.STRING}
_NOTHING: Final = type(None)
_WORDS: Final = {
    DType.FLOAT: "a number",
    DType.INT: "an integer",
    DType.BOOL: "true or false",
    DType.STRING: "text",
}


class CellRefused(Exception):
    """A cell cannot be a value of its column.

    Attributes:
        at: Position among the cells that were given.
        reason: Completes a sentence that begins with the column's name.
    """

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at
        self.reason = reason


@dataclass(slots=True)
class TextType:
    """What the cells of a column of text allow so far.

    Attributes:
        filled: How many cells were not empty.
    """

    filled: int = 0
    _bools: bool = True
    _integers: bool = True
    _decimals: bool = True
    _exact: bool = True  # no integer among them is changed by a float64
    _nans: bool = False
    _digits: bool = False  # some cell is a number by its digits, not only in name, as "inf" is

    def take(self, cells: Sequence[str]) -> None:
        """Looks at further cells."""
        filled = [cell for cell in cells if cell]
        self.filled += len(filled)
        if not (self._bools or self._decimals):
            return
        telling = [cell for cell in filled if cell not in _NAN]
        self._nans = self._nans or len(telling) < len(filled)
        self._bools = self._bools and all(cell in _BOOLS for cell in telling)
        if self._decimals:
            self._take_numbers(telling)

    def _take_numbers(self, cells: Sequence[str]) -> None:
        integers = all(map(_INTEGER, cells))
        self._integers = self._integers and integers
        self._decimals = integers or all(map(_DECIMAL, cells))
        self._digits = self._digits or any(cell[-1].isdigit() for cell in cells)
        for cell in cells:
            if len(cell) > _ALWAYS_EXACT and _INTEGER(cell):
                fits = len(cell.lstrip("-")) <= _INT64_DIGITS and int(cell) in _INT64
                self._integers = self._integers and fits
                self._exact = self._exact and fits and int(float(cell)) == int(cell)

    def dtype(self) -> DType:
        """The type of the column; float for one without any value, which fits wherever numbers are wanted."""
        if not self.filled:
            return DType.FLOAT
        if self._bools and not self._nans:
            return DType.BOOL
        if self._digits and self._decimals and self._integers:
            return DType.INT
        return DType.FLOAT if self._digits and self._decimals and self._exact else DType.STRING


@dataclass(slots=True)
class PlainType:
    """What the values of a column of JSON or Parquet are so far.

    Attributes:
        filled: How many values were not null.
        seen: Where each type was seen first.
    """

    filled: int = 0
    seen: dict[DType, int] = field(default_factory=dict)

    def take(self, values: Sequence[Any], places: Sequence[int]) -> None:
        """Looks at further values.

        Raises:
            CellRefused: A value is of no type that a store keeps.
        """
        self.filled += sum(value is not None for value in values)
        for kind in set(map(type, values)) - {_NOTHING}:
            at = next(at for at, value in enumerate(values) if type(value) is kind)
            if kind not in _DTYPE_OF:
                raise CellRefused(at, f"holds {_kind_word(kind)}; a store keeps numbers, true or false, and text")
            self.seen.setdefault(_DTYPE_OF[kind], places[at])

    def dtype(self) -> DType | None:
        """The type of the column; None when its values are of types that do not go together."""
        kinds = set(self.seen)
        if len(kinds) == 1:
            return next(iter(kinds))
        return DType.FLOAT if kinds <= {DType.INT, DType.FLOAT} else None


def text_values(cells: Sequence[str], dtype: DType, *, declared: bool) -> list[Value]:
    """Cells of text as values.

    Args:
        cells: The cells; an empty one is null.
        dtype: The column's type.
        declared: Whether a person says that this is the type, so that digits may be read more freely: `007` as 7,
            `3.0` as an integer, `1` as true.

    Raises:
        CellRefused: A cell is not of this type.
    """
    if dtype is DType.STRING:
        return [cell or None for cell in cells]
    values: list[Value]
    try:
        if declared or dtype is DType.BOOL:
            raise ValueError  # noqa: TRY301  # cell by cell, below
        read = int if dtype is DType.INT else float
        values = [read(cell) if cell else None for cell in cells]
    except ValueError:
        values = [_read(at, cell, dtype) for at, cell in enumerate(cells)]
    return _bounded(values, dtype)


def plain_values(values: Sequence[Any], dtype: DType) -> list[Value]:
    """Values of JSON or Parquet as values of a type.

    Raises:
        CellRefused: A value is not of this type and cannot become one without loss.
    """
    kinds = {_DTYPE_OF.get(kind) for kind in set(map(type, values)) - {_NOTHING}}
    if not kinds <= {dtype}:
        values = [_convert(at, value, dtype) for at, value in enumerate(values)]
    if dtype is DType.STRING:
        _check_text(values)
    return _bounded(list(values), dtype)


def _read(at: int, cell: str, dtype: DType) -> Value:
    if not cell or (cell in _NAN and dtype is not DType.BOOL):
        return None
    if dtype is DType.BOOL and cell in _DECLARED_BOOLS:
        return _DECLARED_BOOLS[cell]
    if dtype is DType.FLOAT and _DECLARED_FLOAT(cell):
        return float(cell)
    if dtype is DType.INT and (found := _DECLARED_INTEGER(cell)):
        digits = found[1]
        if len(digits.lstrip("+-").lstrip("0")) > _INT64_DIGITS:
            raise CellRefused(at, f"holds {shown(cell)}, which is beyond 64-bit integers")
        return int(digits)
    raise CellRefused(at, f"holds {shown(cell)}, which is not {_WORDS[dtype]}")


def _convert(at: int, value: Any, dtype: DType) -> Value:
    if value is None or value != value:  # noqa: PLR0124  # only NaN differs from itself
        return None
    converted: Value = None
    match value:
        case bool() if dtype.numeric:
            converted = value if dtype is DType.BOOL else int(value)
        case int() if dtype is DType.FLOAT and abs(value) <= FLOAT32_MAX and int(float(value)) != value:
            raise CellRefused(at, f"holds {value}, which a float cannot hold exactly; make it text")
        case int() if dtype in (DType.FLOAT, DType.INT):
            converted = value
        case int() if dtype is DType.STRING and not isinstance(value, bool):
            converted = str(value)
        case float() if dtype is DType.INT and value.is_integer() and abs(value) < _EXACT_FLOAT:
            converted = int(value)  # how columnar files spell integers among nulls
        case float() | str() if _DTYPE_OF[type(value)] is dtype:
            converted = value
    if converted is None:
        raise CellRefused(at, f"holds {shown(value)}, which is not {_WORDS[dtype]}")
    return converted


def _bounded(values: list[Value], dtype: DType) -> list[Value]:
    """The same with NaN as null.

    Raises:
        CellRefused: A number is infinite, or beyond what the type holds.
    """
    if dtype is DType.INT:
        for at, value in enumerate(values):
            if value is not None and value not in _INT64:
                raise CellRefused(at, f"holds {value}, which is beyond 64-bit integers")
    if dtype is DType.FLOAT:
        outside = [
            (at, value)
            for at, value in enumerate(values)
            if value is not None and not -FLOAT32_MAX <= value <= FLOAT32_MAX  # type: ignore[operator]  # no text here
        ]
        for at, value in outside:
            if value == value:  # noqa: PLR0124  # only NaN differs from itself
                raise CellRefused(at, f"holds {shown(value)}; the model needs finite numbers within ±3.4e38")
            values[at] = None
    return values


def _check_text(values: Sequence[Any]) -> None:
    try:
        "".join(value for value in values if value is not None).encode()
    except UnicodeEncodeError:
        for at, value in enumerate(values):
            if value is not None and any("\ud800" <= letter <= "\udfff" for letter in value):
                raise CellRefused(at, "holds text with a lone surrogate, which is not Unicode") from None


def _kind_word(kind: type) -> str:
    words = {"list": "lists", "dict": "nested objects", "datetime": "moments", "date": "dates", "bytes": "bytes"}
    return words.get(kind.__name__, f"values of type {kind.__name__}")


def shown(value: object) -> str:
    """The value as a message shows it: quoted if text, and never long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


_SHOWN: Final = 40
