"""From instances to lookups: which rows of which views a request needs. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from features.spec import FeatureView, Spec
from features.values import EntityKey, Value


@dataclass(frozen=True, slots=True)
class Instance:
    """One thing to score, as the caller named it.

    Attributes:
        keys: The key texts in the order of `Spec.keys`.
        fields: The request values in the order of `Spec.fields`.
    """

    keys: tuple[str, ...]
    fields: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Lookup:
    """The rows of one view that a request needs.

    Attributes:
        view: The feature view.
        keys: The entity key of each instance, in the order of the instances.
        distinct: The same keys, each once; what is read.
    """

    view: FeatureView
    keys: tuple[EntityKey, ...]
    distinct: tuple[EntityKey, ...]


class Planner:
    """Knows, for every view, which of an instance's keys make its entity key."""

    __slots__ = ("_parts",)

    def __init__(self, spec: Spec) -> None:
        position = {part.name: at for at, part in enumerate(spec.keys)}
        self._parts = tuple((view, tuple(position[part.name] for part in view.entity.keys)) for view in spec.views)

    def plan(self, instances: Sequence[Instance]) -> tuple[Lookup, ...]:
        """One lookup for each view, in the spec's order."""
        return tuple(self._lookup(view, parts, instances) for view, parts in self._parts)

    @staticmethod
    def _lookup(view: FeatureView, parts: tuple[int, ...], instances: Sequence[Instance]) -> Lookup:
        keys: tuple[EntityKey, ...]
        if len(parts) == 1:
            part = parts[0]
            keys = tuple([instance.keys[part] for instance in instances])
        else:
            keys = tuple([tuple([instance.keys[part] for part in parts]) for instance in instances])
        return Lookup(view, keys, keys if len(keys) == 1 else tuple(dict.fromkeys(keys)))
