"""What is typed on a command line as an instance, as the JSON value that a caller would send. Pure."""

from collections.abc import Sequence
from typing import Any

import orjson

from features.documents import nearest
from features.spec import Spec
from features.values import DType
from service.errors import ServiceError


class NotAnInstance(ServiceError):
    """The words do not make an instance; says what would."""


def instance_of(words: Sequence[str], spec: Spec) -> Any:
    """The instance that the words mean.

    A word that begins as JSON does is JSON; words with a known name before `=` are pairs; a word alone is the key,
    verbatim, so that `007` stays `007`.

    Args:
        words: Arguments of the command line, at least one.
        spec: What instances hold.

    Raises:
        NotAnInstance: They mean nothing.
    """
    names = spec.input_names
    if len(words) == 1:
        word = words[0]
        if word.lstrip()[:1] in ("{", "[", '"'):
            return _json(word)
        if len(names) == 1 and not spec.fields and not word.startswith(f"{names[0]}="):
            return word
    return _pairs(words, spec)


def _json(word: str) -> Any:
    try:
        return orjson.loads(word)
    except orjson.JSONDecodeError as error:
        raise NotAnInstance(f"not JSON: {error}; put it in single quotes, so that the shell leaves it alone") from None


def _pairs(words: Sequence[str], spec: Spec) -> dict[str, Any]:
    names = spec.input_names
    dtypes = {one.name: one.dtype for one in spec.fields}
    usage = " ".join(f"{name}=…" for name in names)
    pairs: dict[str, Any] = {}
    for word in words:
        name, joined, text = word.partition("=")
        if not joined:
            raise NotAnInstance(f"{word!r} is no name=value pair; say {usage}")
        if name not in names:
            raise NotAnInstance(f"{name!r} is neither a key nor a request field; say {usage}{nearest(name, names)}")
        if name in pairs:
            raise NotAnInstance(f"{name!r} is given twice")
        pairs[name] = _field(text, dtypes.get(name, DType.STRING))
    return pairs


def _field(text: str, dtype: DType) -> Any:
    """The value that `text` spells; the text itself where it spells none, for the service to refuse in its words."""
    if dtype is DType.STRING:
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
