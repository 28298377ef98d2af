"""Predictions become bytes: simple, in detail, and with failures in their places."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from features.assembly import Piece
from features.errors import InstanceInvalid
from features.freshness import Bounds
from features.judging import Judge
from features.planning import Instance, Instances
from features.values import Retrieved
from model.signature import PredictionType, Signature, Task
from service.bundle import Bundle, load_bundle
from service.parsing import ParsedRequest
from service.prediction import Prediction
from service.responses import Answer, DetailedAnswer, entity_id, simple_answer
from service.schemas import Parameters
from service.wiring import assembler_of

WALL = 1_700_000_000.0
NOW = 50.0


class Fixed:
    """A scorer that only has a signature."""

    def __init__(self, task: Task, classes: tuple[str, ...] | None, threshold: float | None = None) -> None:
        n = len(classes) if classes else 1
        self.signature = Signature((), (), (), task, classes, n, PredictionType.RAW, threshold)


@pytest.fixture
def bundle(shop: Callable[..., Path]) -> Bundle:
    return load_bundle(str(shop()))


def row(bundle: Bundle, view: int, **values: Any) -> Retrieved:
    return Retrieved(bundle.spec.views[view].layout.pack(values, WALL - 10.1234), read_at=NOW - 0.12345)


def prediction(bundle: Bundle, scores: Sequence[Sequence[float]], failures: dict[int, Any]) -> Prediction:
    """As many instances of C1 at M1 as there are scores, around the failures."""
    indexes = [at for at in range(len(scores) + len(failures)) if at not in failures]
    instances = Instances.of([Instance(("C1", "M1"), (12.5,))] * len(scores))
    found = (row(bundle, 0, balance=80.0, city="a"), row(bundle, 1, visits=7), row(bundle, 2, rate=None))
    retrieved = [[one] * len(scores) for one in found]
    assembler = assembler_of(bundle)
    assembly = Judge(bundle.spec).judge(instances, retrieved, Bounds(), WALL, NOW)
    assembler.vectors([Piece(assembly, 0, len(scores))])
    request = ParsedRequest(len(scores) + len(failures), Parameters(), instances, indexes, failures)
    return Prediction(request, assembly, scores, failures)


def detailed(bundle: Bundle, made: Prediction) -> Answer:
    answer = DetailedAnswer(bundle, made)
    for index in range(made.request.size):
        answer.write(index, index + 1)
    return answer.whole()


def predictions(answer: Answer) -> list[Any]:
    found: list[Any] = orjson.loads(answer.body)["predictions"]
    return found


def test_scores_are_written_so_that_they_read_back_bit_by_bit(bundle: Bundle) -> None:
    scores = [[0.1 + 0.2, 1 / 3], [5e-324, 0.9999999999999999]]
    made = prediction(bundle, scores, {})
    assert predictions(simple_answer(made)) == scores
    assert [one["scores"] for one in predictions(detailed(bundle, made))] == scores


def test_failures_stand_in_their_places(bundle: Bundle) -> None:
    failure = InstanceInvalid("'amount' is missing", field="amount")
    made = prediction(bundle, [[0.9, 0.1]], {0: failure, 2: failure})
    assert predictions(simple_answer(made)) == [None, [0.9, 0.1], None]
    first, second, third = predictions(detailed(bundle, made))
    assert second["scores"] == [0.9, 0.1]
    assert (first["error"]["index"], third["error"]["index"]) == (0, 2)
    assert (first["error"]["status"], first["error"]["field"]) == (422, "amount")
    assert (first["entity_id"], third["entity_id"]) == (None, None)


def test_an_error_names_its_entity_as_soon_as_the_keys_were_understood(bundle: Bundle) -> None:
    unread = InstanceInvalid("'amount' must be a finite number", field="amount")
    unread.keys = ("C7", "M7")
    made = prediction(bundle, [[0.9, 0.1]], {0: unread})
    assert predictions(detailed(bundle, made))[0]["entity_id"] == {"customer_id": "C7", "merchant_id": "M7"}


def test_the_whole_story_is_told_of_every_feature(bundle: Bundle) -> None:
    (told,) = predictions(detailed(bundle, prediction(bundle, [[0.4, 0.6]], {})))
    assert told["entity_id"] == {"customer_id": "C1", "merchant_id": "M1"}
    assert (told["classes"], told["predicted_class"], told["degraded"]) == (["0", "1"], "1", 0)
    assert told["model"] == {"bundle": "shop", "version": "3", "digest": bundle.digest}
    assert list(told["features"]) == list(bundle.scorer.signature.features)
    stored = {"status": "PRESENT", "source": "store", "age_s": 10.123, "cached_s": 0.123}
    assert told["features"]["balance"] == {"value": 80.0, **stored}
    assert told["features"]["visits"] == {"value": 7, **stored}
    assert told["features"]["rate"] == {"value": None, **stored, "status": "NULL", "source": "missing"}
    assert told["features"]["amount"] == {
        "value": 12.5, "status": "PRESENT", "source": "request", "age_s": None, "cached_s": None,
    }  # fmt: skip
    assert told["features"]["amount_to_balance"]["source"] == "derived"


SIGNED = [
    (Fixed(Task.CLASSIFICATION, ("no", "yes"), 0.8), [0.3, 0.7], "no"),
    (Fixed(Task.CLASSIFICATION, ("no", "yes"), 0.5), [0.3, 0.7], "yes"),
    (Fixed(Task.CLASSIFICATION, ("a", "b", "c")), [0.2, 0.5, 0.3], "b"),
    (Fixed(Task.MULTILABEL, ("a", "b")), [0.9, 0.9], None),
    (Fixed(Task.REGRESSION, None), [12.5], None),
]


@pytest.mark.parametrize(("scorer", "scores", "predicted"), SIGNED)
def test_the_predicted_class_is_the_models_own(
    bundle: Bundle, scorer: Fixed, scores: list[float], predicted: str | None
) -> None:
    other = Bundle(bundle.spec, scorer, "sha256:x", None)  # type: ignore[arg-type]  # a fake
    (told,) = predictions(detailed(other, prediction(bundle, [scores], {})))
    assert told["predicted_class"] == predicted
    assert told["classes"] == (list(scorer.signature.classes) if scorer.signature.classes else None)
    assert predictions(simple_answer(prediction(bundle, [scores], {}))) == [scores]


def test_one_key_is_the_entity_id_itself(spec_of: Callable[..., Any]) -> None:
    assert entity_id(spec_of("string"), Instance(("C1",))) == "C1"
    assert entity_id(spec_of("composite"), Instance(("B7", "12"))) == {"branch": "B7", "number": "12"}


def test_headers_speak_only_when_there_is_something_to_say() -> None:
    assert Answer(b"", 0, 0).headers() == []
    assert Answer(b"", 2, 3).headers() == [("x-keyscore-degraded", "2"), ("x-keyscore-defaulted", "3")]
