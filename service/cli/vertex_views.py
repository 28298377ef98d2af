"""Which feature view of Vertex AI the operator means, and what the bundle says about it.

A view is named as the bundle names it, or by its whole resource name. Only the serving.yaml is read: neither CatBoost
nor the model's file is needed to write a value or to start a sync.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from features.documents import nearest
from features.errors import SpecError
from features.spec import FeatureView, Spec
from features.spec_parsing import parse_serving_yaml
from features.stores.vertex_names import FORM, ViewName, parse_view_name
from features.transforms import BUILT_IN, Transform
from model.artifact import open_location
from model.errors import ModelError
from service.errors import ServiceError
from service.settings import Platform, Settings, bundle_uri

_SERVING: Final = "serving.yaml"


class NoSuchView(ServiceError):
    """The words name no feature view; says what would."""


@dataclass(frozen=True, slots=True)
class VertexView:
    """A feature view of Vertex AI Feature Store.

    Attributes:
        resource: Its resource name.
        name: The parts of that.
        declared: What the bundle says about it; None if it says nothing.
    """

    resource: str
    name: ViewName
    declared: FeatureView | None


def vertex_view(text: str, settings: Settings, platform: Platform) -> VertexView:
    """The view that `text` names.

    Raises:
        NoSuchView: It names none, or the bundle cannot be read.
    """
    spec = _spec(settings, platform)
    if "/" in text:
        name = parse_view_name(text)
        if name is None:
            raise NoSuchView(f"{text} is not a feature view's resource name, {FORM}")
        declared = next((view for view in spec.views if view.source == text), None) if spec else None
        return VertexView(text, name, declared)
    if spec is None:
        raise NoSuchView(f"no bundle says where {text!r} is: name one with --bundle, or say {FORM}")
    views = {view.name: view for view in spec.views}
    if text not in views:
        held = f"; its views are {', '.join(views)}"
        raise NoSuchView(f"{spec.name} reads no view {text!r}{nearest(text, views) or held}")
    resource = views[text].source or ""
    name = parse_view_name(resource)
    if name is None:
        raise NoSuchView(f"view {text!r} needs `source: {FORM}` in {_SERVING}; or say that name here")
    return VertexView(resource, name, views[text])


def _spec(settings: Settings, platform: Platform) -> Spec | None:
    """What the bundle's serving.yaml says; None without one, or where there is no bundle and none was named."""
    uri = bundle_uri(settings, platform)
    if settings.bundle is None and platform.storage_uri is None and not Path(uri).is_dir():
        return None
    try:
        with open_location(uri) as location:
            serving = location.read_optional(_SERVING)
        return parse_serving_yaml(serving, f"{uri}/{_SERVING}", _transforms(settings)).spec if serving else None
    except (ModelError, SpecError) as error:
        raise NoSuchView(str(error)) from error


def _transforms(settings: Settings) -> Mapping[str, Transform]:
    if settings.transforms is None:
        return BUILT_IN
    from service.bundle import load_transforms  # noqa: PLC0415  # brings CatBoost along, half a second

    return load_transforms(settings.transforms)
