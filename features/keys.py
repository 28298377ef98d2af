"""The one place where anything becomes an entity key.

The online route, the batch command, `load` and `put` all come through here, so that "the same entity" means the same
everywhere. Keys are text from here on: the stores want text, and one entity has exactly one spelling.

| the caller sends | `string` key | `int64` key |
|---|---|---|
| `"007"` | `007` | refused: not canonical |
| `"7"` | `7` | `7` |
| `7` | `7` | `7` |
| `1001.0` (JSON rewriters on Vertex AI make that of 1001) | `1001` | `1001` |
| `1001.5`, `1e300`, any float from 2^53 on | refused | refused |
| `true`, `null`, a list, an object, `""` | refused | refused |
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from features.errors import InvalidKey
from features.values import EntityKey, encodable

MAX_KEY_LENGTH: Final = 4076
"""Characters. Source: Vertex AI Feature Store's limit on an entity ID."""

_TOO_LONG: Final = 10**MAX_KEY_LENGTH  # Python refuses to spell much longer integers out at all
_EXACT_FLOAT: Final = 2.0**53  # from here on a float no longer tells which integer was meant
_CANONICAL_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)


class KeyDType(StrEnum):
    """Type of a key column."""

    STRING = "string"
    INT64 = "int64"


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One column of an entity's key.

    Attributes:
        name: The name callers use.
        dtype: What it may hold.
    """

    name: str
    dtype: KeyDType = KeyDType.STRING


def make_key_text(value: object, part: KeyPart) -> str:
    """The one spelling of `value` as a key of `part`.

    Raises:
        InvalidKey: The value cannot be such a key; the message names the part and says what can.
    """
    if part.dtype is KeyDType.INT64:
        return _int64_text(value, part)
    if isinstance(value, str):
        return _checked_text(value, part)
    if isinstance(value, bool):
        raise InvalidKey(f"{part.name!r} must be a string or an integer, not true or false")
    if isinstance(value, int):
        if abs(value) >= _TOO_LONG:
            raise InvalidKey(f"{part.name!r} must be at most {MAX_KEY_LENGTH} characters long")
        return _checked_text(str(value), part)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        return str(int(value))
    raise InvalidKey(f"{part.name!r} must be a string or an integer below 2^53")


def make_key_texts(values: Sequence[Any], part: KeyPart, *, bounded: bool = False) -> Sequence[str]:
    """The spelling of every one of `values` as a key of `part`; plain text is checked all at once.

    Args:
        values: The values.
        part: What they are keys of.
        bounded: Whether those that are text are known to be neither empty nor too long.

    Raises:
        InvalidKey: One of them cannot be such a key; it does not say which.
    """
    if part.dtype is KeyDType.STRING and _all_plain(values, bounded=bounded):
        return values
    return [make_key_text(value, part) for value in values]


def make_key(values: Sequence[object], parts: Sequence[KeyPart]) -> EntityKey:
    """The entity key of `values`, one for each of `parts`.

    Raises:
        InvalidKey: A value cannot be part of a key, or there are more or fewer values than parts.
    """
    if len(values) != len(parts):
        names = ", ".join(part.name for part in parts)
        raise InvalidKey(f"the key has {len(parts)} part(s): {names}")
    if len(parts) == 1:
        return make_key_text(values[0], parts[0])
    return tuple(make_key_text(value, part) for value, part in zip(values, parts, strict=True))


def _int64_text(value: object, part: KeyPart) -> str:
    if isinstance(value, str) and _CANONICAL_INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise InvalidKey(f"{part.name!r} must be a 64-bit integer, or its decimal digits without leading zeros")
    return str(value)


def _all_plain(values: Sequence[Any], *, bounded: bool) -> bool:
    """Whether all of them are ASCII text that can be a key, looked at together."""
    try:
        together = "".join(values)
    except TypeError:  # not all of them are text
        return False
    if not together.isascii() or "\x00" in together:
        return False
    return bounded or (all(values) and max(map(len, values), default=0) <= MAX_KEY_LENGTH)


def _checked_text(text: str, part: KeyPart) -> str:
    if not text:
        raise InvalidKey(f"{part.name!r} must not be empty")
    if len(text) > MAX_KEY_LENGTH:
        raise InvalidKey(f"{part.name!r} must be at most {MAX_KEY_LENGTH} characters long")
    if "\x00" in text or not encodable(text):
        raise InvalidKey(f"{part.name!r} must be Unicode text without NUL and without lone surrogates")
    return text
