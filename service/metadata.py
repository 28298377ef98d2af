"""What is being served, as `/metadata` tells it: the spec as it was understood, defaults filled in."""

from typing import Any

from features.spec import DerivedFeature, Feature, FeatureView, RequestFeature, Spec, StoredFeature
from service.bundle import Bundle
from service.responses import model_identity
from service.settings import Settings


def describe_bundle(bundle: Bundle, settings: Settings) -> dict[str, Any]:
    """The bundle, its model, its spec and the limits that a caller meets."""
    spec, signature = bundle.spec, bundle.scorer.signature
    return {
        "bundle": model_identity(bundle),
        "model": {"task": signature.task, "classes": signature.classes, "outputs": signature.n_outputs},
        "keys": [{"name": part.name, "dtype": part.dtype} for part in spec.keys],
        "request": [
            {"name": one.name, "dtype": one.dtype, "minimum": one.minimum, "maximum": one.maximum}
            for one in spec.fields
        ],
        "views": [_view(view) for view in spec.views],
        "features": [
            _feature(spec, feature) | ({"sensitive": True} if at in spec.sensitive else {})
            for at, feature in enumerate(spec.features)
        ],
        "detailed": settings.detailed,
        "limits": {
            "deadline_s": settings.deadline_s,
            "max_instances": settings.max_instances,
            "max_body_bytes": settings.max_body_bytes,
        },
    }


def _view(view: FeatureView) -> dict[str, Any]:
    cache = view.cache
    return {
        "name": view.name,
        "entity": view.entity.name,
        "keys": [part.name for part in view.entity.keys],
        "source": view.source,
        "max_age_s": view.max_age_s,
        "cache": {
            "ttl_s": cache.ttl_s,
            "stale_while_revalidate_s": cache.stale_while_revalidate_s,
            "stale_if_error_s": cache.stale_if_error_s,
            "negative_ttl_s": cache.negative_ttl_s,
        },
    }


def _feature(spec: Spec, feature: Feature) -> dict[str, Any]:
    return {"name": feature.name, "dtype": feature.dtype, **_origin(spec, feature)}


def _origin(spec: Spec, feature: Feature) -> dict[str, Any]:
    match feature:
        case StoredFeature():
            view = spec.views[feature.view]
            absent = feature.absent
            return {
                "from": f"{view.name}.{view.layout.columns[feature.column].name}",
                "default": feature.default,
                "absent": {
                    "null": absent.null,
                    "not_found": absent.not_found,
                    "too_old": absent.too_old,
                    "error": absent.error,
                },
            }
        case RequestFeature():
            return {"from": f"request.{spec.fields[feature.field].name}"}
        case DerivedFeature():
            inputs = [spec.features[position].name for position in feature.inputs]
            return {"derive": {feature.transform.name: inputs}}
