"""From `serving.yaml` to a checked `Spec`, with errors that name line and key and say what to write instead."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from features.documents import Node, nearest, parse_yaml
from features.keys import KeyDType, KeyPart
from features.spec import (
    MISSING_CATEGORY,
    AbsentPolicy,
    Action,
    CachePolicy,
    DerivedFeature,
    Entity,
    Feature,
    FeatureView,
    RequestFeature,
    RequestField,
    Spec,
    StoredFeature,
    derivation_order,
)
from features.transforms import Transform
from features.values import Column, DType, RowLayout, Value, ValueMismatch, as_dtype

_TOP: Final = ("name", "version", "model", "entities", "views", "request", "features", "missing_category")
_VIEW: Final = ("entity", "source", "cache", "max_age", "read_timeout", "absent")
_CACHE: Final = ("ttl", "stale_while_revalidate", "stale_if_error", "negative_ttl")
_FEATURE: Final = ("name", "from", "derive", "dtype", "default", "absent", "missing_category", "sensitive")
_ABSENT: Final = ("null", "not_found", "too_old", "error")
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
"""How views, entities, keys and request fields may be called."""
_REQUEST: Final = "request"  # in `from`, stands for the request's own fields
_RESERVED: Final = frozenset({"b64", _REQUEST})  # "b64" is how the wire spells bytes


@dataclass(frozen=True, slots=True)
class ServingDocument:
    """A `serving.yaml`, checked.

    Attributes:
        spec: What it says about features.
        model_file: Name of the model's file in the bundle.
        model_sha256: Hex digest that the file must have, if given.
    """

    spec: Spec
    model_file: str
    model_sha256: str | None


@dataclass(slots=True)
class _View:
    """A view while the features that name its columns are still being read."""

    node: Node
    entity: Entity
    absent: AbsentPolicy
    columns: dict[str, Column] = field(default_factory=dict)


def parse_serving_yaml(data: bytes, file: str, transforms: Mapping[str, Transform]) -> ServingDocument:
    """Reads and checks a `serving.yaml`.

    Args:
        data: The file's bytes.
        file: Its name, for messages.
        transforms: The named functions that `derive` may use.

    Raises:
        SpecError: It cannot be used as written.
    """
    root = parse_yaml(data, file)
    top = root.only(_TOP, required=("name", "version", "entities", "views", "features"))
    entities = {name: _entity(name, node) for name, node in _named(top["entities"]).items()}
    _same_dtypes(entities, top["entities"])
    views = {name: _view(node, entities) for name, node in _named(top["views"]).items()}
    fields = {name: _request_field(name, node) for name, node in _named(top.get("request")).items()}
    _distinct_inputs(entities, fields, top)
    category = top["missing_category"].text(empty=True) if "missing_category" in top else MISSING_CATEGORY
    features = _features(top["features"], views, fields, transforms, category)
    _all_used(entities, top["entities"], views)
    file_name, digest = _model(top.get("model"))
    spec = Spec(
        name=top["name"].text(),
        version=top["version"].text(),
        entities=tuple(entities.values()),
        views=tuple(_finished(name, view) for name, view in views.items()),
        fields=tuple(fields.values()),
        features=features,
    )
    return ServingDocument(spec, file_name, digest)


def _named(node: Node | None) -> dict[str, Node]:
    members = {} if node is None else node.members()
    for name, member in members.items():
        _checked_name(name, member)
    return members


def _checked_name(name: str, node: Node) -> str:
    if not NAME.fullmatch(name):
        raise node.error(f"{name!r} must be made of letters, digits, _ and -, and not begin with a digit")
    if name in _RESERVED:
        raise node.error(f"{name!r} has a meaning of its own on the wire; choose another name")
    return name


def _model(node: Node | None) -> tuple[str, str | None]:
    members = node.only(("file", "sha256")) if node else {}
    file = members["file"].text() if "file" in members else "model.cbm"
    if "/" in file or "\\" in file:
        raise members["file"].error("must be the name of a file in the bundle, not a path")
    digest = members["sha256"].text() if "sha256" in members else None
    if digest is not None and not re.fullmatch(r"(sha256:)?[0-9a-f]{64}", digest):
        raise members["sha256"].error("must be 64 hexadecimal digits; `sha256sum model.cbm` prints them")
    return file, digest.removeprefix("sha256:") if digest else None


def _entity(name: str, node: Node) -> Entity:
    keys = node.only(("keys",), required=("keys",))["keys"]
    parts = tuple(_key_part(item) for item in keys.items())
    names = [part.name for part in parts]
    if len(set(names)) < len(names):
        raise keys.error("names a key twice; remove one")
    return Entity(name, parts)


def _key_part(node: Node) -> KeyPart:
    members = node.only(("name", "dtype"), required=("name",))
    dtype = members["dtype"].choice(list(KeyDType)) if "dtype" in members else KeyDType.STRING
    return KeyPart(_checked_name(members["name"].text(), members["name"]), KeyDType(dtype))


def _same_dtypes(entities: Mapping[str, Entity], node: Node) -> None:
    seen: dict[str, KeyPart] = {}
    for entity in entities.values():
        for part in entity.keys:
            if seen.setdefault(part.name, part) != part:
                raise node.error(f"the key {part.name!r} has two dtypes; a caller sends it once, so it has one")


def _view(node: Node, entities: Mapping[str, Entity]) -> _View:
    members = node.only(_VIEW, required=("entity",))
    entity = entities[members["entity"].choice(list(entities))]
    return _View(node, entity, _absent(members.get("absent"), AbsentPolicy()))


def _finished(name: str, view: _View) -> FeatureView:
    members = view.node.members()
    return FeatureView(
        name=name,
        entity=view.entity,
        layout=RowLayout(tuple(view.columns.values())),
        source=members["source"].text() if "source" in members else None,
        cache=_cache(members.get("cache")),
        max_age_s=_optional_duration(members.get("max_age")),
        read_timeout_s=_optional_duration(members.get("read_timeout")),
    )


def _cache(node: Node | None) -> CachePolicy:
    members = node.only(_CACHE) if node else {}
    return CachePolicy(**{f"{name}_s": member.duration_s() for name, member in members.items()})


def _optional_duration(node: Node | None) -> float | None:
    if node is None:
        return None
    seconds = node.duration_s()
    if seconds <= 0:
        raise node.error("must be longer than nothing; leave it out for no bound")
    return seconds


def _absent(node: Node | None, inherited: AbsentPolicy) -> AbsentPolicy:
    members = node.only(_ABSENT) if node else {}
    chosen = {name: Action(member.choice(list(Action))) for name, member in members.items()}
    return AbsentPolicy(**{name: chosen.get(name, getattr(inherited, name)) for name in _ABSENT})


def _request_field(name: str, node: Node) -> RequestField:
    members = node.only(("dtype", "minimum", "maximum"))
    dtype = _dtype(members.get("dtype"))
    for bound in ("minimum", "maximum"):
        if bound in members and dtype not in (DType.FLOAT, DType.INT):
            raise members[bound].error(f"applies to float and int, not to {dtype}")
    low = members["minimum"].number() if "minimum" in members else None
    high = members["maximum"].number() if "maximum" in members else None
    if low is not None and high is not None and low > high:
        raise members["minimum"].error("is greater than the maximum")
    return RequestField(name, dtype, low, high)


def _dtype(node: Node | None) -> DType:
    return DType(node.choice(list(DType))) if node else DType.FLOAT


def _distinct_inputs(
    entities: Mapping[str, Entity], fields: Mapping[str, RequestField], top: Mapping[str, Node]
) -> None:
    for entity in entities.values():
        for part in entity.keys:
            if part.name in fields:
                raise top["request"].error(f"{part.name!r} is already the name of a key of {entity.name!r}")


def _features(
    node: Node,
    views: Mapping[str, _View],
    fields: Mapping[str, RequestField],
    transforms: Mapping[str, Transform],
    category: str,
) -> tuple[Feature, ...]:
    items = node.items()
    members = [item.only(_FEATURE, required=("name",)) for item in items]
    names = [one["name"].text() for one in members]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise members[at]["name"].error(f"the feature {name!r} is listed twice; remove one")
    features: list[Feature] = []
    for item, one in zip(items, members, strict=True):
        if ("from" in one) == ("derive" in one):
            raise item.error("needs either `from: view.column` or `derive: {function: [features]}`")
        if "from" in one:
            features.append(_read_feature(one, views, fields, category))
        else:
            features.append(_derived_feature(one, names, transforms))
    _check_derivations(tuple(features), members)
    return tuple(features)


def _read_feature(
    one: Mapping[str, Node],
    views: Mapping[str, _View],
    fields: Mapping[str, RequestField],
    category: str,
) -> Feature:
    place = one["from"]
    view_name, dot, column = place.text().partition(".")
    if not dot or not column:
        raise place.error("must be `view.column` or `request.field`")
    if view_name == _REQUEST:
        return _request_feature(one, column, fields)
    if view_name not in views:
        raise place.error(f"there is no view {view_name!r}{nearest(view_name, list(views))}")
    return _stored_feature(one, list(views).index(view_name), column, views[view_name], category)


def _request_feature(one: Mapping[str, Node], name: str, fields: Mapping[str, RequestField]) -> RequestFeature:
    if name not in fields:
        raise one["from"].error(f"there is no request field {name!r}{nearest(name, list(fields))}")
    for key in ("default", "absent", "missing_category"):
        if key in one:
            raise one[key].error("applies to stored features; a request field must be sent")
    dtype = fields[name].dtype
    if "dtype" in one and _dtype(one["dtype"]) is not dtype:
        raise one["dtype"].error(f"the request field is {dtype}; leave the dtype out here")
    return RequestFeature(one["name"].text(), list(fields).index(name), dtype, _sensitive(one))


def _stored_feature(one: Mapping[str, Node], position: int, column: str, view: _View, category: str) -> StoredFeature:
    dtype = _dtype(one.get("dtype"))
    known = view.columns.setdefault(column, Column(column, dtype))
    if known.dtype is not dtype:
        raise one["name"].error(f"another feature reads the same column as {known.dtype}; a column has one dtype")
    if "missing_category" in one and dtype is not DType.STRING:
        raise one["missing_category"].error(f"applies to string features; a missing {dtype} is NaN")
    absent = _absent(one.get("absent"), view.absent)
    return StoredFeature(
        name=one["name"].text(),
        view=position,
        column=list(view.columns).index(column),
        dtype=dtype,
        absent=absent,
        default=_default(one, known, absent),
        missing_category=one["missing_category"].text(empty=True) if "missing_category" in one else category,
        sensitive=_sensitive(one),
    )


def _sensitive(one: Mapping[str, Node]) -> bool:
    return one["sensitive"].boolean() if "sensitive" in one else False


def _default(one: Mapping[str, Node], column: Column, absent: AbsentPolicy) -> Value:
    wanted = Action.DEFAULT in absent.actions
    if "default" not in one:
        if wanted:
            raise one["name"].error("its policy is `default`, so it needs the key 'default'")
        return None
    node = one["default"]
    if not wanted:
        raise node.error("is never used; add `absent: {not_found: default}`, or remove it")
    try:
        value = as_dtype(node.value, column)
    except ValueMismatch:
        value = None
    if value is None or (column.dtype is DType.STRING and not isinstance(node.value, str)):
        raise node.error(f"must be a {column.dtype}, as the feature is; text goes in quotes")
    return value


def _derived_feature(one: Mapping[str, Node], names: list[str], transforms: Mapping[str, Transform]) -> DerivedFeature:
    for key in ("default", "absent", "missing_category"):
        if key in one:
            raise one[key].error("applies to stored features; a derived one follows its inputs")
    if "dtype" in one and _dtype(one["dtype"]) is not DType.FLOAT:
        raise one["dtype"].error("a derived feature is a float; leave the dtype out")
    calls = one["derive"].members()
    if len(calls) != 1:
        raise one["derive"].error("must name one function, as in {ratio: [amount, balance]}")
    ((function, arguments),) = calls.items()
    if function not in transforms:
        known = f"; known functions are {', '.join(transforms)}"
        raise arguments.error(f"there is no function {function!r}{nearest(function, list(transforms)) or known}")
    transform = transforms[function]
    inputs = arguments.items()
    if len(inputs) != transform.arity:
        raise arguments.error(f"{function} takes {transform.arity} feature(s), not {len(inputs)}")
    for node in inputs:
        if node.text() not in names:
            raise node.error(f"there is no feature {node.text()!r}{nearest(node.text(), names)}")
    positions = tuple(names.index(node.text()) for node in inputs)
    return DerivedFeature(one["name"].text(), transform, positions, sensitive=_sensitive(one))


def _check_derivations(features: tuple[Feature, ...], members: list[dict[str, Node]]) -> None:
    for feature, one in zip(features, members, strict=True):
        if isinstance(feature, DerivedFeature):
            for position in feature.inputs:
                if not features[position].dtype.numeric:
                    raise one["derive"].error(f"{features[position].name!r} is text; functions take numbers")
    try:
        derivation_order(features)
    except ValueError as error:
        raise members[0]["name"].error(f"features are computed from each other: {error}") from error


def _all_used(entities: Mapping[str, Entity], node: Node, views: Mapping[str, _View]) -> None:
    for name, view in views.items():
        if not view.columns:
            raise view.node.error(f"no feature comes from the view {name!r}; remove it")
    for entity in entities.values():
        if all(view.entity is not entity for view in views.values()):
            raise node.members()[entity.name].error(f"no view belongs to the entity {entity.name!r}; remove it")
