"""A bundle, read and checked: the model, what it was told about its features, and that both agree.

Stands above both halves: whatever serves or scores a bundle (the service, a batch pipeline) reads it here.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from features.spec import DerivedFeature, Spec, single_view_spec
from features.spec_parsing import parse_serving_yaml
from features.transforms import BUILT_IN, Transform, named
from features.values import DType
from model.artifact import open_location, sha256_digest, verify_digest
from model.errors import BundleInvalid
from model.scorer import CatBoostScorer
from model.signature import Signature

SERVING: Final = "serving.yaml"
GOLDEN: Final = "golden.jsonl"
MODEL: Final = "model.cbm"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that a bundle says.

    Attributes:
        spec: What it says about features.
        scorer: Its model.
        digest: `sha256:…` of the model's file.
        golden: Content of its golden.jsonl, if it has one.
        model_file: Name of the model's file inside the bundle.
    """

    spec: Spec
    scorer: CatBoostScorer
    digest: str
    golden: bytes | None
    model_file: str = MODEL


@dataclass(frozen=True, slots=True)
class SingleView:
    """Where the features of a bundle without a serving.yaml are.

    Attributes:
        view: The view's name, or its resource name in Vertex AI Feature Store.
        keys: Names of its key columns.
    """

    view: str
    keys: tuple[str, ...] = ("entity_id",)


def read_bundle(uri: str, single: SingleView | None = None, transforms: Mapping[str, Transform] = BUILT_IN) -> Bundle:
    """Reads a bundle and checks that its model and its spec agree.

    Args:
        uri: A directory or gs:// URI.
        single: The one view of a bundle that has no serving.yaml.
        transforms: The functions that `derive` may use.

    Raises:
        ModelError: It cannot be read, or its model cannot be used or is not what the spec says.
        SpecError: Its serving.yaml cannot be used.
    """
    with open_location(uri) as location:
        model_file = MODEL
        serving = location.read_optional(SERVING)
        if serving is None:
            data = location.read(model_file)
            scorer = CatBoostScorer.from_bytes(data)
            spec = _spec_of_model(scorer.signature, single, uri)
        else:
            document = parse_serving_yaml(serving, f"{location}/{SERVING}", transforms)
            spec, model_file = document.spec, document.model_file
            data = location.read(model_file)
            if document.model_sha256 is not None:
                verify_digest(data, document.model_sha256, model_file)
            scorer = CatBoostScorer.from_bytes(data)
        golden = location.read_optional(GOLDEN)
    problems = list(disagreements(spec, scorer.signature))
    if problems:
        raise BundleInvalid(f"{uri}: model and {SERVING} disagree: {'; '.join(problems)}")
    return Bundle(spec, scorer, sha256_digest(data), golden, model_file)


def read_scorer(uri: str, model_file: str, digest: str) -> CatBoostScorer:
    """The model of a bundle that has been read before, perhaps on another machine: the very same bytes.

    Args:
        uri: Where the bundle is.
        model_file: See `Bundle`.
        digest: See `Bundle`.

    Raises:
        ModelError: The file cannot be read, or is another one by now.
    """
    with open_location(uri) as location:
        data = location.read(model_file)
    verify_digest(data, digest, model_file)
    return CatBoostScorer.from_bytes(data)


def load_transforms(module: str | None) -> Mapping[str, Transform]:
    """The built-in functions and those of `module`.

    Raises:
        BundleInvalid: The module cannot be imported, or has no dictionary TRANSFORMS of functions.
    """
    if module is None:
        return BUILT_IN
    try:
        functions = importlib.import_module(module).TRANSFORMS
        return {**BUILT_IN, **named(functions)}
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise BundleInvalid(
            f"KEYSCORE_TRANSFORMS: {module} cannot be used ({error}); it must be an installed module with a dictionary "
            "TRANSFORMS of name to function"
        ) from error


def disagreements(spec: Spec, signature: Signature) -> Iterator[str]:
    """What the spec says that the model does not, in words."""
    names = [feature.name for feature in spec.features]
    unknown = [name for name in names if name not in signature.features]
    lacking = [name for name in signature.features if name not in names]
    if unknown:
        yield f"the model has no feature {', '.join(map(repr, unknown))}"
    if lacking:
        yield f"the spec lists no feature {', '.join(map(repr, lacking))}"
    if unknown or lacking:
        return
    for at, (mine, theirs) in enumerate(zip(names, signature.features, strict=True)):
        if mine != theirs:
            yield f"feature {at} is {theirs!r} in the model but {mine!r} in the spec; list them in the model's order"
            return
    for at, feature in enumerate(spec.features):
        categorical = at in signature.categorical
        if categorical and (isinstance(feature, DerivedFeature) or feature.dtype in (DType.FLOAT, DType.BOOL)):
            yield f"{feature.name!r} is a category in the model but {feature.dtype} in the spec; say `dtype: string`"
        if not categorical and feature.dtype is DType.STRING:
            yield f"{feature.name!r} is a number in the model but string in the spec; leave the dtype out"


def _spec_of_model(signature: Signature, single: SingleView | None, uri: str) -> Spec:
    if single is None:
        raise BundleInvalid(
            f"{uri} holds no {SERVING}: write one, or name the one view of its features in KEYSCORE_VIEW"
        )
    *_, short = single.view.split("/")
    return single_view_spec(
        name=short,
        view=short,
        source=single.view if "/" in single.view else None,
        keys=single.keys,
        features=[
            (name, DType.STRING if at in signature.categorical else DType.FLOAT)
            for at, name in enumerate(signature.features)
        ],
    )
