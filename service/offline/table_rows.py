"""Predictions as a table: the columns that came, a column of scores for each class, and on demand the whole story."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from features.provenance import UsedValue, explain
from features.spec import DerivedFeature
from features.values import DType
from model.signature import Signature
from service.bundle import Bundle
from service.errors import JobRefused
from service.offline.outcomes import Outcome
from service.offline.sent import ARROW

PREDICTED: Final = "predicted_class"
_STORY: Final = ("value", "status", "source", "age_s")


class TableRows:
    """Writes the outcome of chunks as Arrow tables.

    Attributes:
        schema: Of all these tables.
    """

    __slots__ = ("_bundle", "_detailed", "_skip", "schema")

    def __init__(self, bundle: Bundle, sent: Mapping[str, Any], *, detailed: bool, skip: bool) -> None:
        """Prepares for an input.

        Args:
            bundle: What is predicted with.
            sent: Arrow types of the columns that come, by name.
            detailed: Whether each feature has columns for its value, status, source and age.
            skip: Whether rows without a score are left out.

        Raises:
            JobRefused: A column that comes has the name of one that is added.
        """
        self._bundle = bundle
        self._detailed = detailed
        self._skip = skip
        added = {**_score_types(bundle.scorer.signature), **(_story_types(bundle) if detailed else {})}
        twice = next((name for name in sent if name in added), None)
        if twice is not None:
            raise JobRefused(f"the input has a column {twice!r}, and so has the output's own: rename it")
        self.schema = pa.schema(list({**sent, **added}.items()))

    def __call__(self, outcome: Outcome) -> Any:
        """The rows of a chunk."""
        columns = {**outcome.chunk.sent.columns(), **_score_columns(outcome, self._bundle.scorer.signature)}
        if self._detailed:
            columns.update(self._story(outcome))
        table = pa.table(columns, schema=self.schema)
        return table.take(pa.array(outcome.sound(), type=pa.int64())) if self._skip and outcome.failures else table

    def _story(self, outcome: Outcome) -> Iterator[tuple[str, Any]]:
        used = list(self._used(outcome))
        for feature in self._bundle.spec.features:
            mine = [None if one is None else one[feature.name] for one in used]
            for what in _STORY:
                name = f"{feature.name}_{what}"
                values = [None if one is None else getattr(one, what) for one in mine]
                yield name, pa.array(values, type=self.schema.field(name).type)

    def _used(self, outcome: Outcome) -> Iterator[Mapping[str, UsedValue] | None]:
        at = 0
        for index in range(outcome.size):
            understood = index not in outcome.chunk.request.failures
            failed = index in outcome.failures
            yield None if failed else explain(self._bundle.spec, outcome.scored.assembly, at)
            at += understood


def score_names(signature: Signature) -> Sequence[str]:
    """What the columns of scores are called."""
    if signature.classes is None:
        return ["score"] if signature.n_outputs == 1 else [f"score_{at}" for at in range(signature.n_outputs)]
    return [f"score_{label}" for label in signature.classes]


def _score_types(signature: Signature) -> dict[str, Any]:
    scores = dict.fromkeys(score_names(signature), pa.float64())
    return {**scores, **({PREDICTED: pa.string()} if signature.single_class else {})}


def _score_columns(outcome: Outcome, signature: Signature) -> dict[str, Any]:
    scores = outcome.scores()
    mask = None
    if outcome.failures:
        mask = np.zeros(outcome.size, dtype=bool)
        mask[list(outcome.failures)] = True
    columns = {name: pa.array(scores[:, at], mask=mask) for at, name in enumerate(score_names(signature))}
    if signature.single_class:
        picked = pa.array(signature.predicted_classes(scores).astype(np.int32), mask=mask)
        columns[PREDICTED] = pa.DictionaryArray.from_arrays(picked, list(signature.classes or ())).dictionary_decode()
    return columns


def _story_types(bundle: Bundle) -> dict[str, Any]:
    types: dict[str, Any] = {}
    for feature in bundle.spec.features:
        dtype = DType.FLOAT if isinstance(feature, DerivedFeature) else feature.dtype
        told = (ARROW[dtype], pa.string(), pa.string(), pa.float64())
        types.update({f"{feature.name}_{what}": kind for what, kind in zip(_STORY, told, strict=True)})
    return types
