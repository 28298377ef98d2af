"""What is typed after `keyscore put VIEW`: the parts of a key, then columns and their values. Pure."""

import shlex
from collections.abc import Mapping, Sequence

from features.column_types import CellRefused, TextType, text_values
from features.documents import nearest
from features.errors import InvalidKey
from features.keys import KeyPart, make_key
from features.values import DType, EntityKey, Value
from service.errors import ServiceError

_NULL = "null"


class NotPut(ServiceError):
    """Nothing was written; says why."""


def key_of(words: Sequence[str], view: str, parts: Sequence[KeyPart], columns: Mapping[str, DType]) -> EntityKey:
    """The key that the first words spell, in order or as `name=part`.

    Raises:
        NotPut: They spell none.
    """
    names = [part.name for part in parts]
    first = words[: len(names)]
    by_name = {name: text for name, joined, text in (word.partition("=") for word in first) if joined}
    given = [by_name[name] for name in names] if by_name.keys() == set(names) else list(first)
    if len(first) < len(names) or (given == first and not by_name.keys().isdisjoint({*names, *columns})):
        raise NotPut(f"the key of {view} comes first and has {counted(names)}: {', '.join(names)}")
    try:
        return make_key(given, parts)
    except InvalidKey as error:
        raise NotPut(f"the key {error}") from None


def pairs_of(words: Sequence[str], view: str, keys: Sequence[str], columns: Mapping[str, DType]) -> dict[str, str]:
    """Column to text, as the words say.

    Raises:
        NotPut: A word is no pair, there is none, or a column is named twice.
    """
    if not words:
        known = f"; the columns of {view} are {', '.join(columns)}" if columns else ""
        raise NotPut(f"nothing to set: say column=value{known}")
    pairs: dict[str, str] = {}
    for word in words:
        name, joined, text = word.partition("=")
        if not joined:
            told = f"; the key of {view} has {counted(keys)}: {', '.join(keys)}" if keys else ""
            raise NotPut(f"{word!r} is no column=value{told}")
        if name in pairs:
            raise NotPut(f"{name!r} is given twice")
        pairs[name] = text
    return pairs


def check_column(name: str, view: str, columns: Mapping[str, DType]) -> None:
    """Makes sure that the view has the column.

    Raises:
        NotPut: It has not.
    """
    if name not in columns:
        options = f"; its columns are {', '.join(columns)}"
        raise NotPut(f"{view} has no column {name!r}{nearest(name, columns) or options}")


def value_of(name: str, text: str, dtype: DType) -> Value:
    """The value that a column of this type takes from the text.

    Raises:
        NotPut: It takes none.
    """
    if text == _NULL:
        return None
    if dtype is DType.STRING:
        return text
    if not text:
        raise NotPut(f"{name} has no value; `{name}=null` sets null")
    try:
        (value,) = text_values([text], dtype, declared=True)
    except CellRefused as error:
        raise NotPut(f"{name} {error.reason}") from None
    return value


def dtype_by_form(text: str) -> DType:
    """The type that the text looks like, by the rules for a column of a text file; empty is text."""
    if not text:
        return DType.STRING
    form = TextType()
    form.take([text])
    return form.dtype()


def named_key(key: EntityKey, names: Sequence[str]) -> str:
    """The key for a person: `customer_id=C1, merchant_id=M1`, or its parts alone where nobody knows their names."""
    parts = (key,) if isinstance(key, str) else key
    if not names:
        return ", ".join(parts)
    return ", ".join(f"{name}={part}" for name, part in zip(names, parts, strict=True))


def shown(value: Value) -> str:
    """The value as it would be typed."""
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return shlex.quote(value) if value in ("", _NULL) else str(value)


def counted(names: Sequence[str]) -> str:
    """`one part`, `2 parts`."""
    return "one part" if len(names) == 1 else f"{len(names)} parts"
