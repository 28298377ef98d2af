"""What workers need to know of a bundle: read once where the pipeline is made, pickled, and held to by every worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from features.spec import Spec
from features.transforms import BUILT_IN, Transform
from model.bundle import SingleView, read_bundle, read_scorer
from model.scorer import CatBoostScorer


@dataclass(frozen=True, slots=True)
class BundleContract:
    """A bundle as it was when the pipeline was made. Its model stays where it is: each worker reads it there.

    Attributes:
        uri: The bundle's directory or gs:// URI, the same for every worker.
        spec: What it says about features.
        categorical: Positions of the features that the model takes as categories.
        model_file: Name of the model's file inside the bundle.
        digest: `sha256:…` of that file; a worker that finds another one fails.
    """

    uri: str
    spec: Spec
    categorical: tuple[int, ...]
    model_file: str
    digest: str

    @classmethod
    def of(cls, uri: str, single: SingleView | None = None, transforms: Mapping[str, Transform] = BUILT_IN) -> Self:
        """Reads a bundle and checks that its model and its spec agree; see `model.bundle.read_bundle`.

        Raises:
            ModelError: It cannot be read, or its model cannot be used or is not what the spec says.
            SpecError: Its serving.yaml cannot be used.
        """
        bundle = read_bundle(uri, single, transforms)
        return cls(uri, bundle.spec, bundle.scorer.signature.categorical, bundle.model_file, bundle.digest)

    def scorer(self) -> CatBoostScorer:
        """The model, the very one that was checked.

        Raises:
            ModelError: It cannot be read, or is another one by now.
        """
        return read_scorer(self.uri, self.model_file, self.digest)
