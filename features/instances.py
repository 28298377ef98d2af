"""What a caller sends for one instance, made of keys and request fields. Pure.

Every shape that a caller, Vertex AI's JSON rewriters or its batch prediction sends for one instance, and no other:

| shape | when |
|---|---|
| `"ID"`, `1001`, `1001.0` | one key, no request fields |
| `["ID", …]` | the distinct keys in declared order, then the request fields in declared order |
| `{"customer_id": "ID", …}` | always |
| `{"b64": …}` holding a tf.train.Example | always |
| `{"b64": …}` holding UTF-8 text | one key, no request fields; less one trailing newline |

Any other shape is refused by name; nothing is ever made text by guess. A request's JSON, a line of a file and an
element of a batch pipeline come through here, so that all of them mean the same instance.
"""

import base64
import math
import struct
from collections.abc import Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Final

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from features.errors import InstanceInvalid, InvalidKey, without_history
from features.keys import make_key_text, make_key_texts
from features.plain_objects import plain_object
from features.planning import Instance, Instances
from features.spec import RequestField, Spec
from features.tf_example import FIRST_BYTE, read_example
from features.values import FLOAT32_MAX, DType, Value

_B64: Final = "b64"
_FLOAT32: Final = struct.Struct("=f")
_EXACT_FLOAT: Final = 2.0**53  # from here on a float no longer tells which integer was meant
_EXACT_FLOAT32: Final = 2.0**24
_SCALARS: Final = frozenset({str, int, float})
_WORTHWHILE: Final = 4
"""So many instances, and looking at them column by column is faster than one by one."""


class InstanceParser:
    """Understands the instances of one spec.

    Attributes:
        plain: The type of objects with exactly the declared members, which are understood like the dict that JSON makes
            of them; None if there is no such type.
    """

    __slots__ = ("_bools", "_fields", "_floats", "_keys", "_members", "_names", "_scalar", "plain")

    def __init__(self, spec: Spec) -> None:
        """Prepares for the names and types of a spec's keys and request fields."""
        self._keys = spec.keys
        self._fields = spec.fields
        self._names = spec.input_names
        self._scalar = len(self._names) == 1 and not spec.fields
        self._floats = frozenset(one.name for one in spec.fields if one.dtype is DType.FLOAT)
        self._bools = frozenset(one.name for one in spec.fields if one.dtype is DType.BOOL)
        self.plain = None if _B64 in self._names else plain_object(spec)
        self._members = [] if self.plain is None else list(map(attrgetter, self.plain.__struct_fields__))

    def read(
        self, values: Sequence[Any], instances: Instances, *, ignore_extra: bool = False
    ) -> dict[int, InstanceInvalid]:
        """Adds the instances that can be understood; returns why others cannot, by their position among `values`.

        Args:
            values: What JSON made of each, or objects of the type `plain`.
            instances: Takes those that are understood, in order.
            ignore_extra: Whether undeclared members of an object are passed over.
        """
        failures: dict[int, InstanceInvalid] = {}
        if len(values) >= _WORTHWHILE and self._read_alike(values, instances, extra=ignore_extra):
            return failures
        for at, value in enumerate(values):
            try:
                instances.append(self.instance(value, ignore_extra=ignore_extra))
            except InstanceInvalid as error:
                failures[at] = without_history(error)
        return failures

    def read_columns(self, columns: Sequence[Sequence[Any]], instances: Instances) -> dict[int, InstanceInvalid]:
        """`read` for values that come as columns, as those of a table do.

        Args:
            columns: The values of each of `Spec.input_names`, in that order and equally long.
            instances: Takes those that are understood, in order.
        """
        failures: dict[int, InstanceInvalid] = {}
        if self._extend(columns, instances):
            return failures
        for at, values in enumerate(zip(*columns, strict=True)):
            try:
                instances.append(self._from_values(values))
            except InstanceInvalid as error:
                failures[at] = without_history(error)
        return failures

    def _read_alike(self, values: Sequence[Any], instances: Instances, *, extra: bool) -> bool:
        """Adds the instances of `values` if they are all of one plain shape and valid, column by column.

        A fifth of the time that `instance` takes for each; where anything is unusual, it has to be asked.
        """
        kinds = set(map(type, values))
        columns: list[list[Any]]
        try:
            if kinds == {self.plain}:
                columns = [list(map(member, values)) for member in self._members]
            elif kinds == {dict}:
                if _B64 in self._names or (extra and any(_B64 in value for value in values)):
                    return False
                if not extra and set(map(len, values)) != {len(self._names)}:
                    return False
                columns = [list(map(itemgetter(name), values)) for name in self._names]
            elif kinds == {list}:
                if set(map(len, values)) != {len(self._names)}:
                    return False
                columns = [list(column) for column in zip(*values, strict=True)]
            elif self._scalar and kinds <= _SCALARS:
                columns = [list(values)]
            else:
                return False
        except KeyError:
            return False
        return self._extend(columns, instances, plain=kinds == {self.plain})

    def _extend(self, columns: Sequence[Sequence[Any]], instances: Instances, *, plain: bool = False) -> bool:
        """Adds the instances whose values these columns hold, in declared order, if all of them are valid.

        Args:
            columns: The values.
            instances: Takes the instances.
            plain: Whether they are of the types that a plain object has.
        """
        n_keys = len(self._keys)
        try:
            keys = [
                make_key_texts(column, part, bounded=plain) for column, part in zip(columns, self._keys, strict=False)
            ]
            fields = [
                field_values(column, declared, typed=plain)
                for column, declared in zip(columns[n_keys:], self._fields, strict=True)
            ]
        except (InvalidKey, InstanceInvalid):
            return False
        instances.extend(keys, fields)
        return True

    def instance(self, value: Any, *, ignore_extra: bool = False) -> Instance:
        """Understands one instance.

        Args:
            value: What JSON made of it, or an object of the type `plain`.
            ignore_extra: Whether undeclared members of an object are passed over.

        Raises:
            InstanceInvalid: It is of no known shape, or a value in it is not what the spec says.
        """
        if isinstance(value, dict):
            if _B64 in value:
                return self._from_b64(value, ignore_extra=ignore_extra)
            return self._from_object(value, ignore_extra=ignore_extra)
        if type(value) is self.plain:
            return self._from_values(astuple(value))
        if isinstance(value, list):
            return self._from_values(value)
        if self._scalar and isinstance(value, (str, int, float)):
            return self._from_values((value,))
        raise InstanceInvalid(self._shapes())

    def _from_object(self, members: Mapping[str, Any], *, ignore_extra: bool) -> Instance:
        if len(members) > len(self._names) and not ignore_extra:
            raise InstanceInvalid(
                f"an instance may hold {', '.join(self._names)}; "
                'parameters {"extra": "ignore"} passes over other members'
            )
        try:
            return self._from_values([members[name] for name in self._names])
        except KeyError:
            missing = next(name for name in self._names if name not in members)
            hidden = any(part.name == missing for part in self._keys)
            why = "; Vertex AI's keyField and excludedFields must not name it" if hidden else ""
            raise InstanceInvalid(f"{missing!r} is missing{why}", field=missing) from None

    def _from_values(self, values: Sequence[Any]) -> Instance:
        """The instance of its values in declared order: keys, then request fields."""
        if len(values) != len(self._names):
            raise InstanceInvalid(
                f"a list must hold {len(self._names)} values: {', '.join(self._names)}; "
                "on Vertex AI includedFields chooses them, and keyField must name none of them"
            )
        keys = []
        for part, value in zip(self._keys, values, strict=False):
            try:
                keys.append(make_key_text(value, part))
            except InvalidKey as error:
                raise InstanceInvalid(str(error), field=part.name) from None
        named, sent = tuple(keys), values[len(keys) :]
        if not sent:
            return Instance(named, ())
        try:
            return Instance(named, tuple([field_value(*one) for one in zip(sent, self._fields, strict=True)]))
        except InstanceInvalid as error:
            error.keys = named
            raise

    def _from_b64(self, members: Mapping[str, Any], *, ignore_extra: bool) -> Instance:
        encoded = members[_B64]
        if len(members) > 1 or not isinstance(encoded, str):
            raise InstanceInvalid('{"b64": …} must hold base64 text and nothing else', field=_B64)
        data = _decoded(encoded)
        if data is None:
            raise InstanceInvalid('"b64" must hold standard base64 with padding', field=_B64)
        example = self.example(data)
        if example is not None:
            return self._from_object(example, ignore_extra=ignore_extra)
        if not self._scalar:
            raise InstanceInvalid(f'"b64" must hold a tf.train.Example with {", ".join(self._names)}', field=_B64)
        try:
            return self._from_values((data.decode().removesuffix("\n"),))
        except UnicodeDecodeError:
            raise InstanceInvalid('"b64" must hold a tf.train.Example or UTF-8 text', field=_B64) from None

    def example(self, data: bytes) -> dict[str, Any] | None:
        """What a JSON object would hold in place of a serialized Example; None if `data` is not one with our names."""
        if data[:1] != bytes((FIRST_BYTE,)):
            return None
        example = read_example(data)
        if example is None or example.keys().isdisjoint(self._names):
            return None
        return {name: self._scalar_of(name, values) for name, values in example.items()}

    def _scalar_of(self, name: str, values: list[Any]) -> Any:
        """What JSON would hold in place of an Example's list; None, which no key and no field takes, if nothing would.

        Bytes are text, and 0 and 1 are truth values where such are declared, as an Example knows none. Its floats have
        24 bits: from 2^24 on one no longer tells which integer was meant.
        """
        value = values[0] if len(values) == 1 else None
        if value != value:  # noqa: PLR0124  # only NaN differs from itself, and JSON holds none
            return None
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                return None
        if isinstance(value, float) and name not in self._floats and abs(value) >= _EXACT_FLOAT32:
            return None
        if name in self._bools and value in (0, 1):
            return bool(value)
        return value

    def _shapes(self) -> str:
        names = ", ".join(self._names)
        shapes = f"an object with {names}, or a list of these values in this order"
        return f"an instance must be the key {names}, {shapes}" if self._scalar else f"an instance must be {shapes}"


def field_value(value: Any, declared: RequestField) -> Value:
    """A request field's value as its type says; floats are rounded to float32, so that all shapes score alike.

    Raises:
        InstanceInvalid: It is not of the declared type or out of bounds.
    """
    match declared.dtype:
        case DType.STRING if isinstance(value, str):
            return value
        case DType.BOOL if isinstance(value, bool):
            return value
        case DType.INT if _is_integer(value):
            return _bounded(int(value), declared)
        case DType.FLOAT if isinstance(value, (int, float)) and not isinstance(value, bool):
            if abs(value) <= FLOAT32_MAX:  # false for NaN and infinity, which JSON does not know, but tables do
                (rounded,) = _FLOAT32.unpack(_FLOAT32.pack(_bounded(value, declared)))
                return float(rounded)
    raise InstanceInvalid(f"{declared.name!r} must be {_WORDS[declared.dtype]}", field=declared.name)


def field_values(values: Sequence[Any], declared: RequestField, *, typed: bool = False) -> Sequence[Value]:
    """`field_value` of each; finite numbers are checked and rounded all at once.

    Args:
        values: The values.
        declared: What they are values of.
        typed: Whether those of a float are known to be numbers, and those of a string texts.

    Raises:
        InstanceInvalid: One of them is not of the declared type or out of bounds.
    """
    if declared.dtype is DType.FLOAT and (typed or set(map(type, values)) <= _NUMBERS):
        least, most = min(values), max(values)
        # Python's min and max pass over a NaN that is not the first; a sum does not, and these cannot overflow
        if least >= -FLOAT32_MAX and most <= FLOAT32_MAX and not math.isnan(sum(values)):
            _bounded(least, declared)
            _bounded(most, declared)
            together = struct.Struct(f"={len(values)}f")
            return together.unpack(together.pack(*values))
    if declared.dtype is DType.STRING and (typed or set(map(type, values)) == {str}):
        return values
    return [field_value(value, declared) for value in values]


def rounded_floats(values: NDArray[np.float64], declared: RequestField) -> NDArray[np.float64]:
    """`field_value` of each number in an array, at least one, for a request field that is a float.

    Raises:
        InstanceInvalid: One of them is out of bounds or not finite.
    """
    least, most = float(values.min()), float(values.max())
    if not (least >= -FLOAT32_MAX and most <= FLOAT32_MAX):  # so put that NaN, which both are if one is, is refused
        raise InstanceInvalid(f"{declared.name!r} must be {_WORDS[DType.FLOAT]}", field=declared.name)
    _bounded(least, declared)
    _bounded(most, declared)
    return values.astype(np.float32).astype(np.float64)


_NUMBERS: Final = frozenset({int, float})
_WORDS: Final = {
    DType.STRING: "a string",
    DType.BOOL: "true or false",
    DType.INT: "a 64-bit integer",
    DType.FLOAT: "a finite number that float32 can hold",
}


def _is_integer(value: Any) -> bool:
    if isinstance(value, float):  # JSON rewriters on Vertex AI make 3.0 of 3
        return value.is_integer() and abs(value) < _EXACT_FLOAT
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _bounded(value: float, declared: RequestField) -> float:
    if declared.minimum is not None and value < declared.minimum:
        raise InstanceInvalid(f"{declared.name!r} must be at least {declared.minimum:g}", field=declared.name)
    if declared.maximum is not None and value > declared.maximum:
        raise InstanceInvalid(f"{declared.name!r} must be at most {declared.maximum:g}", field=declared.name)
    return value


def _decoded(encoded: str) -> bytes | None:
    """What standard base64 with padding stands for; None if `encoded` is anything else."""
    if len(encoded) % 4:  # b64decode lets one "=" too many pass
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
