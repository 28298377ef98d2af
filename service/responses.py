"""Predictions to bytes: the respond stage.

Both styles are made of the same scores, so they are bit-identical: a float64 is written as the shortest decimal that
reads back to it.
"""

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from itertools import islice
from typing import Any, NamedTuple

import orjson

from features.planning import Instance
from features.provenance import UsedValue, explain
from features.spec import Spec
from service.bundle import Bundle
from service.prediction import InstanceError, Prediction, each_of
from service.problems import problem_for


class Answer(NamedTuple):
    """What goes back.

    Attributes:
        body: JSON.
        degraded: Values substituted because of an error, or served beyond stale-while-revalidate.
        defaulted: Declared defaults used for absent values.
    """

    body: bytes
    degraded: int = 0
    defaulted: int = 0

    def headers(self) -> list[tuple[str, str]]:
        """Headers that say that not every value was the store's current one."""
        counts = (("x-keyscore-degraded", self.degraded), ("x-keyscore-defaulted", self.defaulted))
        return [(name, str(count)) for name, count in counts if count]


def simple_answer(prediction: Prediction) -> Answer:
    """Just the scores, null for an instance that could not be scored."""
    places = prediction.scores
    request = prediction.request
    if request.failures:  # they are not among the instances
        told = dict(zip(request.indexes, each_of(places), strict=True))
        places = [told.get(index) for index in range(request.size)]
    return _answer(orjson.dumps({"predictions": places}, option=orjson.OPT_SERIALIZE_NUMPY), prediction)


def detailed_parts(bundle: Bundle, prediction: Prediction) -> Iterator[bytes]:
    """The whole story of each instance as JSON, in order; an error object for one that could not be scored.

    One by one, so that whoever asks for ten thousand can let others have their turn in between.
    """
    model = model_identity(bundle)
    understood = iter(enumerate(each_of(prediction.scores)))
    for index in range(prediction.request.size):
        at, scores = (None, None) if index in prediction.request.failures else next(understood)
        if at is None or scores is None:
            yield orjson.dumps(_failed(bundle.spec, prediction, index, at))
        else:
            yield orjson.dumps(_detailed(bundle, prediction, at, scores, model))


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
    bundle: Bundle, prediction: Prediction, instance: int, scores: Sequence[float], model: Mapping[str, str]
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


def _failed(spec: Spec, prediction: Prediction, index: int, instance: int | None) -> dict[str, Any]:
    """Batch prediction may shuffle answers, so that an index alone tells nobody whose error it is."""
    request = prediction.request
    keys = request.failures[index].keys if instance is None else request.instances[instance].keys
    named = None if keys is None else entity_id(spec, Instance(keys))
    return {"entity_id": named, "error": _problem_of(index, prediction.failures[index])}


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
    if not assembly.degraded and not assembly.defaulted:
        return Answer(body)
    return Answer(body, sum(assembly.degraded.values()), sum(assembly.defaulted.values()))
