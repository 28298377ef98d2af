"""Writes serving.yaml, for people to read and for the service to hold the model to."""

from collections.abc import Mapping
from typing import Any, Final

import yaml

from features.values import DType
from model.training.catalog import FEATURES, KEY_OF, REQUEST, VIEWS, Feature

NAME: Final = "card-fraud"
VERSION: Final = "1"

# Short, as a balance may change any second; no max_age, so that the demo's rows still serve next year.
_CACHE: Final = {"ttl": "2s", "stale_while_revalidate": "10s", "stale_if_error": "5m", "negative_ttl": "1s"}

# Where the view would lie in Vertex AI Feature Store. The embedded store goes by the view's name, the emulator too.
_SOURCE: Final = "projects/demo/locations/us-central1/featureOnlineStores/demo/featureViews"

_TEMPLATE: Final = """\
# What the model needs to know before it can score, and where the service finds it.
#
#   model     the trained model and its digest; the service does not start with another file
#   entities  what callers send IDs of
#   views     which values are kept about them, and how long a read may be reused
#   request   what callers send beside the IDs
#   features  the model's inputs, in the model's order: where each comes from and what to do when it is absent

name: {name}
version: "{version}"
model: {model}

entities:
{entities}

views:
{views}

request:
{request}

# Where nothing is said, a null value is missing (the model knows what to do) and an unknown entity is refused.
# A customer without a row of activity is no error: no payments yet, so the counts are 0 and the means are missing.
# These customers are invented, so every value may be shown. Where they are real, add `sensitive: true` to features such
# as balance: they are used all the same, but no answer holds their values, nor what is derived from them.
features:
{features}
"""


def serving_yaml(model_file: str, sha256: str) -> str:
    """The text of serving.yaml.

    Args:
        model_file: Name of the model's file beside it.
        sha256: Digest of that file, in hex.
    """
    return _TEMPLATE.format(
        name=NAME,
        version=VERSION,
        model=_flow({"file": model_file, "sha256": sha256}),
        entities="\n".join(
            f"  {entity}: " + _flow({"keys": [{"name": key, "dtype": "string"}]}) for entity, key in KEY_OF.items()
        ),
        views="\n".join(_view(name) for name in VIEWS),
        request="\n".join(f"  {name}: {_flow(declared)}" for name, declared in REQUEST.items()),
        features="\n".join(f"  - {_flow(_feature(feature))}" for feature in FEATURES),
    )


def _view(name: str) -> str:
    view = VIEWS[name]
    lines = (
        f"  # {view.about}",
        f"  {name}:",
        f"    entity: {view.entity}",
        f"    source: {_SOURCE}/{name}",
        f"    cache: {_flow(_CACHE)}",
    )
    return "\n".join(lines)


def _feature(feature: Feature) -> dict[str, Any]:
    """The feature as serving.yaml spells it; what is as shipped is left out."""
    said: dict[str, Any] = {"name": feature.name}
    if feature.column is not None:
        said["from"] = ".".join(feature.column)
    if feature.request is not None:
        said["from"] = f"request.{feature.request}"
    if feature.derive is not None:
        transform, inputs = feature.derive
        said["derive"] = {transform: list(inputs)}
    if feature.dtype is not DType.FLOAT:
        said["dtype"] = str(feature.dtype)
    if feature.default is not None:
        said["default"] = feature.default
    if feature.absent:
        said["absent"] = dict(feature.absent)
    return said


def _flow(value: Mapping[str, Any]) -> str:
    """`value` on one line."""
    text: str = yaml.safe_dump(dict(value), default_flow_style=True, sort_keys=False, width=10_000)
    return text.rstrip("\n")
