"""How a view's keys are spelled, as far as a bundle on this machine says.

`load` and `put` must spell a key as the service will, which matters for `int64` keys only. Just the part of the
serving.yaml that declares keys is read, so that a bundle that is still being written does not stand in the way;
whether it can be served is what `keyscore check` is for.
"""

from collections.abc import Sequence
from pathlib import Path

from features.documents import Node, parse_yaml
from features.errors import SpecError
from features.keys import KeyDType, KeyPart
from service.settings import DEMO_BUNDLE, Settings

_SERVING = "serving.yaml"


def declared_keys(settings: Settings, view: str) -> tuple[KeyPart, ...] | None:
    """The key parts that the bundle's serving.yaml declares for a view; None if it does not say."""
    path = Path(settings.bundle or DEMO_BUNDLE) / _SERVING
    try:
        top = parse_yaml(path.read_bytes(), _SERVING).members()
        entity = top["views"].members()[view].members()["entity"].text()
        keys = top["entities"].members()[entity].members()["keys"].items()
        return tuple(_part(key.members()) for key in keys)
    except (OSError, SpecError, KeyError, ValueError):
        return None


def key_parts(settings: Settings, view: str, names: Sequence[str]) -> tuple[KeyPart, ...]:
    """The key parts of a view that is stored under these columns; strings, unless the bundle says otherwise."""
    declared = declared_keys(settings, view)
    if declared is None or len(declared) != len(names):
        return tuple(KeyPart(name) for name in names)
    return tuple(KeyPart(name, part.dtype) for name, part in zip(names, declared, strict=True))


def _part(members: dict[str, Node]) -> KeyPart:
    dtype = KeyDType(members["dtype"].text()) if "dtype" in members else KeyDType.STRING
    return KeyPart(members["name"].text(), dtype)
