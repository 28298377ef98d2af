"""The bundle to serve; what is wrong with it is told to whoever starts the service."""

from collections.abc import Mapping
from pathlib import Path

from features.errors import SpecError
from features.transforms import BUILT_IN, Transform
from model import bundle
from model.bundle import GOLDEN, Bundle, SingleView, read_bundle
from model.errors import ModelError
from service.errors import StartError
from service.settings import DEMO_BUNDLE

__all__ = ["GOLDEN", "Bundle", "SingleView", "load_bundle", "load_transforms"]


def load_bundle(uri: str, single: SingleView | None = None, transforms: Mapping[str, Transform] = BUILT_IN) -> Bundle:
    """Reads a bundle and checks that its model and its spec agree; see `model.bundle.read_bundle`.

    Raises:
        StartError: It cannot be read or served; one line for the operator.
    """
    try:
        return read_bundle(uri, single, transforms)
    except (ModelError, SpecError) as error:
        hint = "; `keyscore demo` builds it" if uri == DEMO_BUNDLE and not Path(uri).exists() else ""
        raise StartError(f"{error}{hint}") from error


def load_transforms(module: str | None) -> Mapping[str, Transform]:
    """The built-in functions and those of `module`.

    Raises:
        StartError: The module cannot be used.
    """
    try:
        return bundle.load_transforms(module)
    except ModelError as error:
        raise StartError(str(error)) from error
