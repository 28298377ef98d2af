"""Tells a right answer from a wrong one: it knows every entity's features, and scores them itself.

An answer of 200 is wrong when its score is not that of the features which it says were used, when one of those is not
what the store held while it could have been read, or when something was substituted or too old and no flag says so. A
refusal is wrong when it is no problem document, or when nothing in the world could have led to it.

    answer -> envelope (this file) -> simple: scores against the truth (this file)
                                   -> detailed: story of each value (`stories`), score of those values (this file)
"""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Final

import numpy as np
import orjson

from load_tests.bundles import PLAIN_VIEW, Served, plain_values
from load_tests.catalogue import Catalogue
from load_tests.expectations import Case, defaulted_of, expected_values
from load_tests.scoring import Scores, Tables
from load_tests.stories import Span, Wrong, count_flags, examine
from load_tests.truth import Truth

REFUSALS: Final = frozenset({502, 503, 504})
"""What an honest service may answer to a good request under load and faults."""

TOLERANCE: Final = 1e-9
"""Of a score; the golden lines allow the same."""

_CHUNK: Final = 50_000
_OK: Final = 200
_UNAVAILABLE: Final = 503
_PROBLEM: Final = "application/problem+json"


class Oracle:
    """Knows every right answer of one bundle.

    Attributes:
        truth: The entities' features.
        catalogue: What is served.
        checked: Answers looked at.
    """

    truth: Truth
    catalogue: Catalogue

    def __init__(self, refusals: frozenset[int] = REFUSALS) -> None:
        """Knows nothing until it has learnt.

        Args:
            refusals: Statuses that are no mistake.
        """
        self.checked = 0
        self._refusals = refusals
        self._plain: list[list[float]] = []

    def learn(self, metadata: Mapping[str, Any], served: Served) -> None:
        """From now on this is what is served.

        Args:
            metadata: What the service answers on `/metadata`.
            served: The bundle and its rows.
        """
        self.catalogue = Catalogue.of(metadata)
        self.truth = Truth.of(served)
        self._scores = Scores(served.bundle, self.catalogue.features, classes=self.catalogue.classes is not None)
        self._plain = []
        for begin in range(0, served.entities, _CHUNK):
            numbers = np.arange(begin, min(begin + _CHUNK, served.entities))
            self._plain += self._scores.of_matrix(plain_values(numbers, served.features))

    def check(
        self, request: bytes, status: int, headers: Mapping[str, str], body: bytes, span: Span | None = None
    ) -> str | None:
        """What is wrong with an answer; None if nothing is.

        Args:
            request: As it was sent.
            status: HTTP status; below zero where there was no answer, which is a failure but not a wrong answer.
            headers: By lower-case name.
            body: As it came.
            span: When the request was sent and answered, by `truth.now()`; matters where values change.
        """
        if status <= 0:
            return None
        self.checked += 1
        head, _, sent = request.partition(b"\r\n\r\n")
        asked_id = _request_id(head)
        try:
            _same(headers.get("x-request-id"), asked_id, "the X-Request-Id sent back")
            if status != _OK:
                self._refused(status, headers, body)
            else:
                self._answered(orjson.loads(sent), headers, _predictions(body), span or Span(-math.inf, math.inf))
        except Wrong as wrong:
            return f"{asked_id}: {wrong}"
        return None

    def inputs_of(self, instance: Any) -> tuple[dict[str, Any] | None, dict[str, str]]:
        """The model's inputs for an instance as its features are now, and their statuses; see `expected_values`."""
        case = Case.of(self.catalogue, instance)
        now = {name: self.truth.current(name, key) for name, key in case.key_of.items()}
        return expected_values(self.catalogue, case, now)

    def tables_of(self, instances: Sequence[Any]) -> Tables:
        """What CatBoost is to be asked about instances that can be scored."""
        known = [inputs for inputs, _ in map(self.inputs_of, instances) if inputs is not None]
        _same(len(known), len(instances), "the number of instances that can be scored")
        return self._scores.tables_of(known)

    def scores_of(self, instances: Sequence[Any]) -> list[list[float]]:
        """The right scores of instances that can be scored."""
        return self._scores.of_many([inputs for inputs, _ in map(self.inputs_of, instances) if inputs is not None])

    def _refused(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if status not in self._refusals:
            raise Wrong(f"refused with {status}: {body[:300]!r}")
        _same(headers.get("content-type"), _PROBLEM, "the media type of a refusal")
        problem = _json(body)
        _same(problem.get("status"), status, "the status in the problem document")
        _same(problem.get("request_id"), headers.get("x-request-id"), "the request id in the problem document")
        if status == _UNAVAILABLE and not headers.get("retry-after", "").isdecimal():
            raise Wrong("a refusal with 503 has no Retry-After")

    def _answered(
        self, sent: Mapping[str, Any], headers: Mapping[str, str], predictions: Sequence[Any], span: Span
    ) -> None:
        instances = sent["instances"]
        _same(len(predictions), len(instances), "the number of predictions")
        flags = _flag(headers, "x-keyscore-degraded"), _flag(headers, "x-keyscore-defaulted")
        if predictions and isinstance(predictions[0], dict):
            self._detailed(instances, predictions, flags, span)
        else:
            self._simple(instances, predictions, flags, span)

    def _simple(self, instances: Sequence[Any], predictions: Sequence[Any], flags: tuple[int, int], span: Span) -> None:
        degraded, defaulted = flags
        likely = self._likely(instances)
        mistaken = defaults = 0
        for instance, scores, (expected, used) in zip(instances, predictions, likely, strict=True):
            right = expected is not None and close(scores, expected)
            found = used if right else self._in_time(instance, scores, span, stale=degraded > 0)
            if found is None:
                mistaken += 1
                if mistaken > degraded or not self.catalogue.substitutes_errors:
                    raise Wrong(f"{instance}: scores {scores} are not those of its features, and no flag says why")
            else:
                defaults += found
        if not degraded:
            _same(defaulted, defaults, "X-Keyscore-Defaulted")

    def _likely(self, instances: Sequence[Any]) -> list[tuple[list[float] | None, int]]:
        """Scores of each instance's features as they are now, and how many defaults they use."""
        if self._plain:
            return [(self._plain_scores(instance), 0) for instance in instances]
        expected = list(map(self.inputs_of, instances))
        scored = iter(self._scores.of_many(known) if (known := [one for one, _ in expected if one is not None]) else ())
        return [
            (None, 0) if one is None else (next(scored), defaulted_of(self.catalogue, statuses))
            for one, statuses in expected
        ]

    def _plain_scores(self, key: str) -> list[float] | None:
        number = int(key[1:])
        known = number < len(self._plain) and self.truth.unchanged(PLAIN_VIEW, key)
        return self._plain[number] if known else None

    def _in_time(self, instance: Any, scores: Any, span: Span, *, stale: bool) -> int | None:
        """How many defaults the answer uses if it was right at a time that it may be of; None if it never was.

        Args:
            instance: As it was sent.
            scores: As they came.
            span: When the request was under way.
            stale: Whether the answer says that it may be of the time within stale-if-error.
        """
        case = Case.of(self.catalogue, instance)
        names = tuple(self.catalogue.views)
        found = [
            self.truth.during(name, case.key_of[name], span.sent - view.served_s(stale=stale), span.answered)
            for name, view in self.catalogue.views.items()
        ]
        for rows in product(*found):
            values, statuses = expected_values(self.catalogue, case, dict(zip(names, rows, strict=True)))
            if values is not None and close(scores, self._scores.of(values)):
                return defaulted_of(self.catalogue, statuses)
        return None

    def _detailed(
        self, instances: Sequence[Any], predictions: Sequence[Any], flags: tuple[int, int], span: Span
    ) -> None:
        degraded = defaulted = 0
        for instance, prediction in zip(instances, predictions, strict=True):
            case = Case.of(self.catalogue, instance)
            used = prediction["features"]
            _same(prediction["entity_id"], case.entity_id, "entity_id")
            _same(prediction["classes"], self.catalogue.classes, "classes")
            _same(prediction["model"], self.catalogue.identity, "model")
            if not self._is_plain_and_true(case, used, prediction["scores"]):
                examine(self.catalogue, case, used, self.truth, span)
                expected = self._scores.of({name: one["value"] for name, one in used.items()})
                if not close(prediction["scores"], expected):
                    raise Wrong(f"scores {prediction['scores']} are not {expected}, those of the features used")
            self._check_class(prediction)
            count = count_flags(self.catalogue, used, prediction["degraded"])
            degraded += prediction["degraded"]
            defaulted += count
        _same(flags[0], degraded, "X-Keyscore-Degraded")
        if not degraded:
            _same(flags[1], defaulted, "X-Keyscore-Defaulted")

    def _is_plain_and_true(self, case: Case, used: Mapping[str, Any], scores: Any) -> bool:
        """The short way for what load runs ask most: every value fresh and as it always was."""
        if not self._plain or not self.truth.unchanged(PLAIN_VIEW, case.key_of[PLAIN_VIEW]):
            return False
        row = self.truth.current(PLAIN_VIEW, case.key_of[PLAIN_VIEW])
        ttl_s = self.catalogue.views[PLAIN_VIEW].ttl_s
        return (
            row is not None
            and {name: one["value"] for name, one in used.items()} == row
            and all(
                one["status"] == "PRESENT" and one["source"] in ("store", "cache") and one["cached_s"] <= ttl_s
                for one in used.values()
            )
            and close(scores, self._plain[int(case.key_of[PLAIN_VIEW][1:])])
        )

    def _check_class(self, prediction: Mapping[str, Any]) -> None:
        if self.catalogue.classes is None:
            return
        scores = prediction["scores"]
        best = self.catalogue.classes[scores.index(max(scores))]
        if len(set(scores)) == len(scores):  # in a tie either will do
            _same(prediction["predicted_class"], best, "predicted_class")


def close(scores: Any, expected: Sequence[float]) -> bool:
    """Whether these are the expected scores, but for the last digits."""
    return (
        isinstance(scores, list)
        and len(scores) == len(expected)
        and all(
            isinstance(one, float) and abs(one - other) <= TOLERANCE
            for one, other in zip(scores, expected, strict=True)
        )
    )


def _request_id(head: bytes) -> str | None:
    marked = head.partition(b"X-Request-Id: ")[2]
    return marked.partition(b"\r\n")[0].decode() or None


def _predictions(body: bytes) -> Sequence[Any]:
    predictions = _json(body).get("predictions")
    if not isinstance(predictions, list):
        raise Wrong("an answer of 200 has no list of predictions")
    return predictions


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Wrong(f"the body is not JSON: {body[:300]!r}") from None
    if not isinstance(document, dict):
        raise Wrong("the body is not a JSON object")
    return document


def _flag(headers: Mapping[str, str], name: str) -> int:
    return int(headers.get(name, "0"))


def _same(found: object, expected: object, what: str) -> None:
    if expected is not None and found != expected:
        raise Wrong(f"{what} is {found!r}, not {expected!r}")
