"""What a bundle says about features: entities, feature views, request fields and the model's ordered feature list.

Everything here is checked and frozen; `spec_parsing` makes it from a document, `single_view_spec` from a model's own
feature names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from features.keys import KeyPart
from features.transforms import Transform
from features.values import Column, DType, RowLayout, Status, Value

MISSING_CATEGORY: Final = "nan"
"""Stands for a missing category unless the spec says what training used: what `astype(str)` makes of a NaN."""


class Action(StrEnum):
    """What to do about a value that cannot be used as it is."""

    FAIL = "fail"
    DEFAULT = "default"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class AbsentPolicy:
    """What to do when a value is null, has no row, is too old, or could not be read.

    The shipped policy: CatBoost was made for nulls, so they go in as missing; anything else is somebody's mistake or
    outage, and a caller should learn of it.
    """

    null: Action = Action.MISSING
    not_found: Action = Action.FAIL
    too_old: Action = Action.FAIL
    error: Action = Action.FAIL

    def action(self, status: Status) -> Action:
        """The action for a value of this status; PRESENT has none."""
        return {
            Status.NULL: self.null,
            Status.NOT_FOUND: self.not_found,
            Status.OUTSIDE_MAX_AGE: self.too_old,
            Status.ERROR: self.error,
        }[status]

    @property
    def actions(self) -> tuple[Action, ...]:
        """The four actions."""
        return (self.null, self.not_found, self.too_old, self.error)


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How long a row may be used after it was read; both stale windows start when `ttl_s` ends.

    Source: RFC 9111 for fresh and stale, RFC 5861 for the two extensions.

    Attributes:
        ttl_s: For so long a row is fresh.
        stale_while_revalidate_s: For so much longer it is served while one refresh runs.
        stale_if_error_s: For so much longer it is served because the store fails.
        negative_ttl_s: For so long an entity is taken to have no row.
    """

    ttl_s: float = 2.0
    stale_while_revalidate_s: float = 10.0
    stale_if_error_s: float = 300.0
    negative_ttl_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that has features: a customer, a merchant, a pair of both."""

    name: str
    keys: tuple[KeyPart, ...]


@dataclass(frozen=True, slots=True)
class FeatureView:
    """A group of features that are stored and read together.

    Attributes:
        name: Its name in the spec and in the embedded store.
        entity: Whose features they are.
        layout: The columns that the model needs.
        source: Its resource name in Vertex AI Feature Store, if it has one.
        cache: How long rows may be used.
        max_age_s: How old a value may be by its event time; None for any age.
        read_timeout_s: How long one read may take; None for the features' share of the deadline.
    """

    name: str
    entity: Entity
    layout: RowLayout
    source: str | None = None
    cache: CachePolicy = CachePolicy()
    max_age_s: float | None = None
    read_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class RequestField:
    """A value that the caller sends beside the keys."""

    name: str
    dtype: DType
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class StoredFeature:
    """A feature that is one column of one view.

    Attributes:
        name: The model's name for it.
        view: Position of the view in `Spec.views`.
        column: Position of the column in the view's layout.
        dtype: Its type.
        absent: What to do when the value cannot be used.
        default: The declared default, of type `dtype`.
        missing_category: What stands for a missing category.
        sensitive: Whether its value may be used but not shown.
    """

    name: str
    view: int
    column: int
    dtype: DType
    absent: AbsentPolicy = AbsentPolicy()
    default: Value = None
    missing_category: str = MISSING_CATEGORY
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class RequestFeature:
    """A feature that is a request field; `field` is its position in `Spec.fields`."""

    name: str
    field: int
    dtype: DType
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class DerivedFeature:
    """A feature computed from other features; `inputs` are their positions in `Spec.features`."""

    name: str
    transform: Transform
    inputs: tuple[int, ...]
    dtype: DType = DType.FLOAT
    sensitive: bool = False


Feature = StoredFeature | RequestFeature | DerivedFeature


@dataclass(frozen=True, slots=True)
class Spec:
    """A bundle's whole contract about features.

    Attributes:
        name: The bundle's name.
        version: The bundle's version.
        views: The feature views, each used by at least one feature.
        fields: The request fields in declared order.
        features: The features in the model's order.
        keys: The distinct key parts of all entities in declared order; what a caller sends.
        derivation_order: Positions of the derived features, each after its inputs.
        sensitive: Positions of the features whose values are not shown; more than those that say so.
    """

    name: str
    version: str
    entities: tuple[Entity, ...]
    views: tuple[FeatureView, ...]
    fields: tuple[RequestField, ...]
    features: tuple[Feature, ...]
    keys: tuple[KeyPart, ...] = field(init=False)
    derivation_order: tuple[int, ...] = field(init=False)
    sensitive: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        distinct = {part.name: part for entity in self.entities for part in entity.keys}
        object.__setattr__(self, "keys", tuple(distinct.values()))
        object.__setattr__(self, "derivation_order", tuple(derivation_order(self.features)))
        object.__setattr__(self, "sensitive", tuple(sorted(sensitive_features(self.features, self.derivation_order))))

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of what a caller sends, in the order of an array instance: keys, then request fields."""
        return (*(part.name for part in self.keys), *(one.name for one in self.fields))

    @property
    def sensitive_names(self) -> tuple[str, ...]:
        """Names of the features whose values are not shown, in the model's order."""
        return tuple(self.features[at].name for at in self.sensitive)

    @property
    def sensitive_fields(self) -> frozenset[str]:
        """Names of the request fields whose values are not shown."""
        read = (self.features[at] for at in self.sensitive)
        return frozenset(self.fields[one.field].name for one in read if isinstance(one, RequestFeature))


def derivation_order(features: tuple[Feature, ...]) -> Iterable[int]:
    """Positions of the derived features, each after the derived features it is computed from.

    Raises:
        ValueError: Features are computed from each other; the message names them.
    """
    done: dict[int, None] = {}

    def visit(position: int, above: tuple[int, ...]) -> None:
        feature = features[position]
        if not isinstance(feature, DerivedFeature) or position in done:
            return
        if position in above:
            ring = [*above[above.index(position) :], position]
            raise ValueError(" -> ".join(features[at].name for at in ring))
        for inner in feature.inputs:
            visit(inner, (*above, position))
        done[position] = None

    for position in range(len(features)):
        visit(position, ())
    return done


def sensitive_features(features: Sequence[Feature], order: Iterable[int]) -> set[int]:
    """Positions of the features that must not be shown when those marked `sensitive` are to stay unknown.

    Besides them: whatever else reads the same column or request field, and whatever is derived from any of these, since
    a ratio gives its inputs away.

    Args:
        features: The features in the model's order.
        order: Positions of the derived ones, each after its inputs.
    """
    secret = {_source(feature) for feature in features if feature.sensitive} - {None}
    found = {at for at, feature in enumerate(features) if feature.sensitive or _source(feature) in secret}
    for at in order:
        feature = features[at]
        if isinstance(feature, DerivedFeature) and not found.isdisjoint(feature.inputs):
            found.add(at)
    return found


def _source(feature: Feature) -> tuple[int, int] | None:
    """Which view's which column, or which request field (as of view -1), a feature reads; None for a derived one."""
    match feature:
        case StoredFeature():
            return feature.view, feature.column
        case RequestFeature():
            return -1, feature.field
        case DerivedFeature():
            return None


def single_view_spec(
    *, name: str, view: str, source: str | None, keys: tuple[str, ...], features: Iterable[tuple[str, DType]]
) -> Spec:
    """The spec of a model that comes without one: all its features are columns of one view.

    Args:
        name: What to call the bundle.
        view: The view's name.
        source: The view's resource name, if it lies in Vertex AI Feature Store.
        keys: Names of the key columns.
        features: The model's feature names in its order, with their types.
    """
    typed = tuple(features)
    entity = Entity("entity", tuple(KeyPart(key) for key in keys))
    layout = RowLayout(tuple(Column(feature, dtype) for feature, dtype in typed))
    return Spec(
        name=name,
        version="0",
        entities=(entity,),
        views=(FeatureView(view, entity, layout, source),),
        fields=(),
        features=tuple(StoredFeature(feature, 0, at, dtype) for at, (feature, dtype) in enumerate(typed)),
    )
