"""The whole way of an instance through a pipeline, as one transform."""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import KeyedModelHandler, PredictionResult, RunInference

from model.beam.connecting import StoreAddress
from model.beam.contract import BundleContract
from model.beam.dead_letters import FAILED, dead_letter
from model.beam.enrichment import Demands, Enrich
from model.beam.inference import CatBoostModelHandler
from model.errors import ModelError

_PREDICTIONS: Final = "predictions"
_FAILURES: Final = "failures"


class OnError(StrEnum):
    """What becomes of an instance that cannot be scored; what does is told in the second output in any case."""

    SKIP = "skip"
    """It is left out of the predictions."""

    NULL = "null"
    """Its prediction is null."""

    FAIL = "fail"
    """The pipeline fails."""


class InstanceFailed(Exception):
    """An instance cannot be scored, and the pipeline says that it must not go on then."""


class Predict(beam.PTransform):
    """Instances become `{"instance", "prediction"}` with the scores that the online route gives, bit by bit.

    An instance is whatever an online request's `instances` may hold. The outputs are `predictions`, and `failures` of
    `{"instance", "error"}`.
    """

    def __init__(
        self,
        contract: BundleContract,
        store: StoreAddress,
        demands: Demands | None = None,
        on_error: OnError | str = OnError.SKIP,
    ) -> None:
        """Loads and reads nothing yet.

        Args:
            contract: The bundle.
            store: Where its features are.
            demands: How to read them.
            on_error: What becomes of an instance that cannot be scored.
        """
        super().__init__()
        self._contract = contract
        self._store = store
        self._demands = demands
        self._on_error = OnError(on_error)

    def expand(self, instances: Any) -> Any:
        """See `PTransform.expand`."""
        enriched = instances | "Enrich" >> Enrich(self._contract, self._store, self._demands)
        handler = KeyedModelHandler(CatBoostModelHandler(self._contract))
        scored = (
            enriched.vectors
            | "Score" >> RunInference(handler)
            | "Tell" >> beam.ParDo(Tell()).with_outputs(FAILED, main=_PREDICTIONS)
        )
        predictions = scored[_PREDICTIONS]
        failures = (enriched[FAILED], scored[FAILED]) | "All failures" >> beam.Flatten()
        if self._on_error is OnError.NULL:
            nulls = failures | "Nulls" >> beam.Map(null_prediction)
            predictions = (predictions, nulls) | "With nulls" >> beam.Flatten()
        elif self._on_error is OnError.FAIL:
            failures = failures | "Fail" >> beam.Map(fail)
        return {_PREDICTIONS: predictions, _FAILURES: failures}


class Tell(beam.DoFn):
    """Pairs of instance and inference become predictions."""

    def __init__(self) -> None:
        """Counts on what `EnrichBatch` has counted: an instance fails here or there, never in both."""
        super().__init__()
        self._failed = Metrics.counter("keyscore", "failed")

    def process(self, element: tuple[Any, PredictionResult]) -> Iterator[Any]:
        """See `DoFn.process`."""
        sent, result = element
        if isinstance(result.inference, ModelError):
            self._failed.inc()
            yield beam.pvalue.TaggedOutput(FAILED, dead_letter(sent, result.inference))
        else:
            yield {"instance": sent, "prediction": result.inference}


def null_prediction(failure: dict[str, Any]) -> dict[str, Any]:
    """What stands for the prediction of an instance that cannot be scored."""
    return {"instance": failure["instance"], "prediction": None}


def fail(failure: dict[str, Any]) -> None:
    """Ends the pipeline.

    Raises:
        InstanceFailed: Always.
    """
    raise InstanceFailed(f"{json.dumps(failure['error'])} (on_error skip or null goes on)")
