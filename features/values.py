"""Feature values and the row that holds one view's values for one entity.

A row is kept for as long as its view allows, a hundred thousand of them per view, and is read on every request. So
it is compact (numbers packed as float64 in one `bytes`: 50 floats take 433 B instead of 1.6 kB as Python objects)
and ready: `numbers` of many rows, joined, are the view's block of the model's matrix. Where a cache keeps many rows,
their numbers lie side by side (`features.columns`), and that is that block. Values are kept exactly: integers,
booleans and strings are held as they were read, beside their float64 form.
"""

import math
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, cast

from features.errors import FeaturesError

Value = float | int | str | None  # bool is an int
FLOAT32_MAX: Final = 3.4028234663852886e38  # the matrix holds float32; what lies beyond would become infinite there

EntityKey = str | tuple[str, ...]  # one key, or the parts of a composite key in the entity's order


class DType(StrEnum):
    """Type of a feature or request field, as the spec spells it."""

    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    STRING = "string"

    @property
    def numeric(self) -> bool:
        """Whether values of this type have a place in the matrix of numbers."""
        return self is not DType.STRING


class Status(StrEnum):
    """What the store said about a value (Feast's `FieldStatus`, plus ERROR for a read that failed)."""

    PRESENT = "PRESENT"
    NULL = "NULL"
    NOT_FOUND = "NOT_FOUND"
    OUTSIDE_MAX_AGE = "OUTSIDE_MAX_AGE"
    ERROR = "ERROR"


class Source(StrEnum):
    """Where the value that was used came from; never merged with `Status`."""

    STORE = "store"
    CACHE = "cache"
    STALE = "stale"
    DEFAULT = "default"
    MISSING = "missing"
    REQUEST = "request"
    DERIVED = "derived"


class ValueMismatch(ValueError):
    """A stored value does not fit the type that the spec declares for its column.

    Attributes:
        column: The column's name.
        dtype: The declared type.
    """

    def __init__(self, column: str, dtype: DType) -> None:
        super().__init__(f"column {column!r} does not hold a {dtype}")
        self.column = column
        self.dtype = dtype


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a view that the model needs."""

    name: str
    dtype: DType


class Lodging(Protocol):
    """Where the numbers of rows are kept side by side."""

    def packed(self, place: int, /) -> bytes:
        """`FeatureRow.numbers` of the row at a place."""
        ...  # pragma: no cover  # a protocol


@dataclass(slots=True, eq=False)
class FeatureRow:
    """One view's values for one entity key, as `RowLayout.pack` made it. Requests share it: what it says never changes.

    Attributes:
        packed: `numbers`, or where they are kept.
        exact: Values of the columns that are not floats, in the layout's order, None for null.
        nulls: Bit i is set when column i is null.
        event_time: Unix seconds of the oldest value, or None when any value is undated.
        event_times: Unix seconds (or None) of each column in order; None when all equal `event_time`.
        place: Where its numbers are, if they are kept elsewhere.
    """

    packed: bytes | Lodging
    exact: tuple[int | str | None, ...]
    nulls: int
    event_time: float | None
    event_times: tuple[float | None, ...] | None = None
    place: int = 0

    @property
    def numbers(self) -> bytes:
        """float64 of every numeric column in the layout's order, NaN for null; `8 * n_numeric` bytes."""
        kept = self.packed
        if isinstance(kept, bytes):
            return kept
        numbers = kept.packed(self.place)
        # another thread may have put another row there: then it has given this one its numbers before
        return numbers if self.packed is kept else self.numbers

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FeatureRow):
            return NotImplemented
        mine = (self.numbers, self.exact, self.nulls, self.event_time, self.event_times)
        return mine == (other.numbers, other.exact, other.nulls, other.event_time, other.event_times)

    __hash__ = None  # type: ignore[assignment]  # equal rows may be kept in different places


@dataclass(slots=True)
class Retrieved:
    """What is known of one key of one view. Requests share those that a cache holds: nobody changes one.

    Attributes:
        row: The row; None when there is none, or when it could not be read.
        source: STORE, CACHE or STALE.
        read_at: When the read that brought it began, on the monotonic clock.
        degraded: Served beyond stale-while-revalidate, because the store fails.
        error: Why the row could not be read; None when the store did answer.
        fresh_until: When the TTL of a cached row, jitter included, ends on the monotonic clock.
        plain: Whether every value of the row can be used as it is, unless it is too old.
    """

    row: FeatureRow | None
    source: Source = Source.STORE
    read_at: float = 0.0
    degraded: bool = False
    error: FeaturesError | None = None
    fresh_until: float = field(default=math.inf, compare=False)
    plain: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.plain = self.row is not None and not self.row.nulls and not self.degraded


_NAN: Final = math.nan


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Which columns of a view the model needs and where a row keeps each of them.

    Attributes:
        columns: The columns in the order in which the spec first names them.
        names: Their names.
        numeric: The names of those that are numbers.
        texts: The names of those that are strings.
        all_floats: Whether all of them are floats.
    """

    columns: tuple[Column, ...]
    names: frozenset[str] = field(init=False, repr=False)
    numeric: tuple[str, ...] = field(init=False)
    texts: tuple[str, ...] = field(init=False)
    all_floats: bool = field(init=False, repr=False)
    _number_at: tuple[int, ...] = field(init=False, repr=False)
    _exact_at: tuple[int, ...] = field(init=False, repr=False)
    _texts_at: tuple[int, ...] = field(init=False, repr=False)
    _struct: struct.Struct = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numeric = [column.name for column in self.columns if column.dtype.numeric]
        exact = [column.name for column in self.columns if column.dtype is not DType.FLOAT]
        put = object.__setattr__  # the dataclass is frozen; these follow from `columns`
        put(self, "names", frozenset(column.name for column in self.columns))
        put(self, "numeric", tuple(numeric))
        put(self, "texts", tuple(column.name for column in self.columns if column.dtype is DType.STRING))
        put(self, "_texts_at", tuple(exact.index(name) for name in self.texts))
        put(self, "all_floats", not exact)
        put(self, "_number_at", tuple(_position(c.name, numeric) for c in self.columns))
        put(self, "_exact_at", tuple(_position(c.name, exact) for c in self.columns))
        put(self, "_struct", struct.Struct(f"={len(numeric)}d"))

    def __reduce__(self) -> tuple[type["RowLayout"], tuple[tuple[Column, ...]]]:
        """`struct.Struct` cannot be pickled; the columns say it all."""
        return RowLayout, (self.columns,)

    def number_position(self, column: int) -> int:
        """Position of column number `column` among `FeatureRow.numbers`; -1 for a string column."""
        return self._number_at[column]

    def exact_position(self, column: int) -> int:
        """Position of column number `column` among `FeatureRow.exact`; -1 for a float column."""
        return self._exact_at[column]

    def text_position(self, column: int) -> int:
        """Position of column number `column` among `texts`; -1 for a column of another type."""
        return _position(self.columns[column].name, self.texts)

    def texts_of(self, row: FeatureRow) -> list[int | str | None]:
        """The row's texts in the order of `texts`, None for null."""
        return [row.exact[at] for at in self._texts_at]

    def pack(
        self,
        values: Mapping[str, Value],
        event_time: float | None,
        event_times: Mapping[str, float | None] | None = None,
    ) -> FeatureRow:
        """Makes a row of what a store returned; columns that are not in the layout are dropped.

        Args:
            values: Column name to value; None and an absent name both mean null.
            event_time: When the values came to be, Unix seconds; None if the store does not say.
            event_times: Event times of single columns that differ from `event_time`.

        Raises:
            ValueMismatch: A value does not fit its column's type.
        """
        if self.all_floats and not event_times:
            packed = self._packed_floats(values)
            if packed is not None:
                return FeatureRow(packed, (), 0, event_time)
        numbers: list[float] = []
        exact: list[int | str | None] = []
        nulls = 0
        for position, column in enumerate(self.columns):
            value = as_dtype(values.get(column.name), column)
            if value is None:
                nulls |= 1 << position
            if column.dtype is not DType.FLOAT:
                exact.append(value)  # type: ignore[arg-type]  # as_dtype gives floats to FLOAT columns only
            if column.dtype.numeric:
                numbers.append(_NAN if value is None else float(value))
        times = None
        if event_times:
            each = tuple(event_times.get(column.name, event_time) for column in self.columns)
            event_time = None if None in each else min(each, default=event_time)  # type: ignore[type-var]  # no None left
            times = each if any(one != event_time for one in each) else None
        return FeatureRow(self._struct.pack(*numbers), tuple(exact), nulls, event_time, times)

    def _packed_floats(self, values: Mapping[str, Value]) -> bytes | None:
        """The numbers of a row of nothing but floats, a quarter of the time of going value by value; else None."""
        try:
            numbers = [values[name] for name in self.numeric]
        except KeyError:
            return None
        if set(map(type, numbers)) != {float}:
            return None
        floats = cast("list[float]", numbers)
        return self._struct.pack(*floats) if _all_finite(floats) else None

    def row_of_floats(self, packed: bytes, event_time: float | None) -> FeatureRow | None:
        """The row of `all_floats` with these numbers, packed like `FeatureRow.numbers`; None if one does not fit."""
        return FeatureRow(packed, (), 0, event_time) if _all_finite(self._struct.unpack(packed)) else None

    def value(self, row: FeatureRow, column: int) -> Value:
        """The exact value of column number `column`; None for null."""
        if row.nulls >> column & 1:
            return None
        if self.columns[column].dtype is DType.FLOAT:
            (number,) = struct.unpack_from("=d", row.numbers, 8 * self._number_at[column])
            return float(number)
        return row.exact[self._exact_at[column]]

    def event_time(self, row: FeatureRow, column: int) -> float | None:
        """Unix seconds at which the value of column number `column` came to be, if the store says."""
        return row.event_time if row.event_times is None else row.event_times[column]


def as_dtype(value: object, column: Column) -> Value:
    """`value` as a value of `column`'s type, or None for null.

    Widening is allowed (bool and int to float, int to string, which is how CatBoost spells an integer category);
    nothing else is: a float never becomes a category. An int column keeps 64 bits exactly; a float column rounds what
    float64 cannot hold, as training does. NaN is how columnar files spell null.

    Raises:
        ValueMismatch: The value is of another type, infinite, or beyond what float32 or int64 holds.
    """
    if value is None or value != value:  # noqa: PLR0124  # only NaN differs from itself
        return None
    match column.dtype:
        case DType.FLOAT if isinstance(value, (float, int)):
            return _finite(value, column)
        case DType.INT if isinstance(value, int) and not isinstance(value, bool):
            if -(2**63) <= value < 2**63:
                return value
        case DType.BOOL if isinstance(value, bool):
            return value
        case DType.STRING if isinstance(value, str) and encodable(value):
            return sys.intern(str(value))  # categories are few: a hundred thousand rows share them
        case DType.STRING if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    raise ValueMismatch(column.name, column.dtype)


def _all_finite(numbers: Sequence[float]) -> bool:
    """Whether float32 holds all of them."""
    # a NaN makes the sum one, and then nothing is true of it
    return abs(sum(numbers)) < math.inf and min(numbers) >= -FLOAT32_MAX and max(numbers) <= FLOAT32_MAX


def _finite(value: float, column: Column) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise ValueMismatch(column.name, column.dtype) from None
    if abs(number) > FLOAT32_MAX:
        raise ValueMismatch(column.name, column.dtype)
    return number


def encodable(text: str) -> bool:
    """Whether text is Unicode without lone surrogates, which no store and no JSON can carry."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _position(name: str, names: Sequence[str]) -> int:
    return names.index(name) if name in names else -1
