"""Predictions to bytes: the respond stage.

Both styles are made of the same scores, so they are bit-identical: a float64 is written as the shortest decimal that
reads back to it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import Any

import orjson

from features.planning import Instance
from features.provenance import UsedValue, explain
from features.spec import Spec
from service.bundle import Bundle
from service.prediction import InstanceError, Prediction
from service.problems import problem_for


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back.

    Attributes:
        body: JSON.
        degraded: Values substituted because of an error, or served beyond stale-while-revalidate.
        defaulted: Declared defaults used for absent values.
    """

    body: bytes
    degraded: int
    defaulted: int

    def headers(self) -> dict[str, str]:
        """Headers that say that not every value was the store's current one."""
        headers = {}
        if self.degraded:
            headers["x-keyscore-degraded"] = str(self.degraded)
        if self.defaulted:
            headers["x-keyscore-defaulted"] = str(self.defaulted)
        return headers


def simple_answer(prediction: Prediction) -> Answer:
    """Just the scores, null for an instance that could not be scored."""
    rows: list[Any] = prediction.scores.tolist()
    if prediction.failures:
        indexes = prediction.request.indexes
        places: list[Any] = [None] * prediction.request.size
        for row, instance in zip(rows, prediction.scored, strict=True):
            places[indexes[instance]] = row
        rows = places
    return _answer(orjson.dumps({"predictions": rows}), prediction)


def detailed_parts(bundle: Bundle, prediction: Prediction) -> Iterator[bytes]:
    """The whole story of each instance as JSON, in order; an error object for one that could not be scored.

    One by one, so that whoever asks for ten thousand can let others have their turn in between.
    """
    model = model_identity(bundle)
    scored = zip(prediction.scored, prediction.scores.tolist(), strict=True)  # what has not failed has been, in order
    for index in range(prediction.request.size):
        error = prediction.failures.get(index)
        if error is not None:
            yield orjson.dumps({"error": _problem_of(index, error)})
        else:
            instance, scores = next(scored)
            yield orjson.dumps(_detailed(bundle, prediction, instance, scores, model))


class DetailedAnswer:
    """A detailed answer in the making: 28 MB for ten thousand instances of the demo, so there is one copy of it."""

    __slots__ = ("_body", "_parts", "_prediction")

    def __init__(self, bundle: Bundle, prediction: Prediction) -> None:
        """Holds no instance yet."""
        self._prediction = prediction
        self._parts = detailed_parts(bundle, prediction)
        self._body = BytesIO()
        self._body.write(b'{"predictions":[')

    def write(self, start: int, stop: int) -> None:
        """Adds the instances from `start` to before `stop`, the next ones of the request."""
        if start:
            self._body.write(b",")
        self._body.write(b",".join(islice(self._parts, stop - start)))

    def whole(self) -> Answer:
        """The answer, when every instance is in it."""
        self._body.write(b"]}")
        return _answer(self._body.getvalue(), self._prediction)  # the buffer itself, not a copy


def entity_id(spec: Spec, instance: Instance) -> str | dict[str, str]:
    """The key; with several keys, an object of key name to key."""
    if len(spec.keys) == 1:
        return instance.keys[0]
    return {part.name: key for part, key in zip(spec.keys, instance.keys, strict=True)}


def _detailed(
    bundle: Bundle, prediction: Prediction, instance: int, scores: list[float], model: Mapping[str, str]
) -> dict[str, Any]:
    signature = bundle.scorer.signature
    predicted = signature.predicted_class(scores)
    used = explain(bundle.spec, prediction.assembly, instance)
    return {
        "entity_id": entity_id(bundle.spec, prediction.request.instances[instance]),
        "classes": signature.classes,
        "scores": scores,
        "predicted_class": None if predicted is None or signature.classes is None else signature.classes[predicted],
        "features": {name: _feature(value) for name, value in used.items()},
        "degraded": prediction.assembly.degraded.get(instance, 0),
        "model": model,
    }


def model_identity(bundle: Bundle) -> Mapping[str, str]:
    """Which model answers."""
    return {"bundle": bundle.spec.name, "version": bundle.spec.version, "digest": bundle.digest}


def _feature(used: UsedValue) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "value": used.value,
        "status": used.status,
        "source": used.source,
        "age_s": None if used.age_s is None else round(used.age_s, 3),
        "cached_s": None if used.cached_s is None else round(used.cached_s, 3),
    }
    if used.masked:
        shown["masked"] = True
    return shown


def _problem_of(index: int, error: InstanceError) -> dict[str, Any]:
    return {**problem_for(error).document(), "index": index}


def _answer(body: bytes, prediction: Prediction) -> Answer:
    assembly = prediction.assembly
    return Answer(body, sum(assembly.degraded.values()), sum(assembly.defaulted.values()))
