"""From instances to lookups: which rows of which views a request needs. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from features.spec import FeatureView, Spec
from features.values import EntityKey, Value


class Instance(NamedTuple):
    """One thing to score, as the caller named it. A tuple, because a request makes up to 10,000 of them.

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
        return tuple([self.lookup(at, instances) for at in range(len(self._parts))])

    @property
    def views(self) -> int:
        """How many lookups a plan has."""
        return len(self._parts)

    def lookup(self, at: int, instances: Sequence[Instance]) -> Lookup:
        """The lookup for view number `at`; half a millisecond for 10,000 instances."""
        view, parts = self._parts[at]
        keys: tuple[EntityKey, ...]
        if len(parts) == 1:
            part = parts[0]
            keys = tuple([instance.keys[part] for instance in instances])
        else:
            keys = tuple([tuple([instance.keys[part] for part in parts]) for instance in instances])
        return Lookup(view, keys, keys if len(keys) == 1 else tuple(dict.fromkeys(keys)))
