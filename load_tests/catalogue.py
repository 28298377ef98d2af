"""What is being served, as `GET /metadata` tells it, in the shape that the oracle asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class View:
    """A feature view.

    Attributes:
        name: Its name.
        keys: Names of the keys of its entity.
        ttl_s: Until then a read is fresh.
        unflagged_s: Until then it may be served without a flag: ttl and stale-while-revalidate.
        error_s: Until then it may be served at all: ttl and stale-if-error.
    """

    name: str
    keys: tuple[str, ...]
    ttl_s: float
    unflagged_s: float
    error_s: float

    def served_s(self, *, stale: bool) -> float:
        """How old, in seconds, a row may be that is served; `stale` with a flag that says so."""
        return self.error_s if stale else self.unflagged_s


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature; exactly one of `view`, `field` and `derive` says where it comes from.

    Attributes:
        name: As the model has it.
        text: Whether it is a category.
        view: The view that holds it.
        column: Its column there.
        field: The request's field.
        derive: Function and names of the inputs.
        default: Its declared default.
        absent: Status to `fail`, `default` or `missing`.
    """

    name: str
    text: bool
    view: str | None = None
    column: str = ""
    field: str | None = None
    derive: tuple[str, tuple[str, ...]] | None = None
    default: Any = None
    absent: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The bundle.

    Attributes:
        keys: Names of the keys, in declared order.
        fields: Names of the request's fields, in declared order.
        views: By name.
        features: In the model's order.
        classes: The model's; None for regression.
        identity: Bundle, version and digest.
        deadline_s: The service's own.
    """

    keys: tuple[str, ...]
    fields: tuple[str, ...]
    views: Mapping[str, View]
    features: tuple[Feature, ...]
    classes: list[str] | None
    identity: Mapping[str, str]
    deadline_s: float

    @property
    def substitutes_errors(self) -> bool:
        """Whether a feature is put in place of one that could not be read."""
        return any(feature.absent is not None and feature.absent["ERROR"] != "fail" for feature in self.features)

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Catalogue":
        """The catalogue that this document describes."""
        return cls(
            keys=tuple(key["name"] for key in metadata["keys"]),
            fields=tuple(field["name"] for field in metadata["request"]),
            views={view["name"]: _view(view) for view in metadata["views"]},
            features=tuple(map(_feature, metadata["features"])),
            classes=metadata["model"]["classes"],
            identity=metadata["bundle"],
            deadline_s=metadata["limits"]["deadline_s"],
        )


def _view(document: Mapping[str, Any]) -> View:
    cache = document["cache"]
    ttl_s = cache["ttl_s"]
    return View(
        document["name"],
        tuple(document["keys"]),
        ttl_s,
        ttl_s + cache["stale_while_revalidate_s"],
        ttl_s + max(cache["stale_while_revalidate_s"], cache["stale_if_error_s"]),
    )


def _feature(document: Mapping[str, Any]) -> Feature:
    name, text = document["name"], document["dtype"] == "string"
    if "derive" in document:
        ((function, inputs),) = document["derive"].items()
        return Feature(name, text, derive=(function, tuple(inputs)))
    place, _, column = document["from"].partition(".")
    if place == "request":
        return Feature(name, text, field=column)
    absent = {status.upper(): action for status, action in document["absent"].items()}
    absent["OUTSIDE_MAX_AGE"] = absent.pop("TOO_OLD")
    return Feature(name, text, view=place, column=column, default=document["default"], absent=absent)
