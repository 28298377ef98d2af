"""Which view and which entity a message asks for, in the embedded store's words."""

from typing import Any, NamedTuple

import orjson

from features.emulator.codes import Refused
from features.stores.base import StoredView
from features.stores.sqlite_file import encode_key
from features.stores.vertex_messages import DataKey


class AskedKey(NamedTuple):
    """An entity key as it was asked for.

    Attributes:
        text: As the embedded store spells it.
        parts: Of how many parts it is made.
        message: The `FeatureViewDataKey` itself.
    """

    text: str
    parts: int
    message: Any


def view_name(resource: str) -> str:
    """The last segment of a feature view's name; project, location and store may be any."""
    return resource.rpartition("/")[2]


def asked_key(message: Any) -> AskedKey:
    """The key that a `FeatureViewDataKey` names.

    A composite key of one part is that part: Google's `FeatureView.read(key=["C00017"])` sends such.

    Raises:
        Refused: It names none.
    """
    if message.HasField("composite_key"):
        parts = tuple(message.composite_key.parts)
        if parts:
            return AskedKey(parts[0] if len(parts) == 1 else encode_key(parts), len(parts), message)
    elif message.key:
        return AskedKey(message.key, 1, message)
    raise Refused("INVALID_ARGUMENT", "The data key is empty; set key or composite_key.")


def check_parts(asked: AskedKey, view: StoredView) -> None:
    """Makes sure that the key has as many parts as the view has key columns.

    Nothing is joined: `FeatureView.read("C00017")` is taken for a list and arrives as six parts of one letter each.

    Raises:
        Refused: It has more or fewer.
    """
    if asked.parts != len(view.keys):
        raise Refused(
            "INVALID_ARGUMENT",
            f"The data key has {asked.parts} part(s), the view's key has {len(view.keys)}: {', '.join(view.keys)}."
            ' With the Python SDK pass a list: FeatureView.read(key=["ID"]).',
        )


def make_message(text: str, like: AskedKey) -> Any:
    """The `FeatureViewDataKey` of a stored key's text, made as `like` is."""
    if like.parts > 1:
        return DataKey(composite_key=DataKey.CompositeKey(parts=orjson.loads(text)))
    if like.message.HasField("composite_key"):
        return DataKey(composite_key=DataKey.CompositeKey(parts=[text]))
    return DataKey(key=text)
