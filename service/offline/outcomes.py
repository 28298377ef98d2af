"""What became of a chunk: scores and failures by its rows, whoever found the failures."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from features.judging import Assembly
from service.bundle import Bundle
from service.offline.chunks import Chunk
from service.offline.scoring import Scored
from service.prediction import InstanceError, Prediction
from service.problems import problem_for


class Outcome(NamedTuple):
    """What became of a chunk.

    Attributes:
        chunk: Its rows.
        scored: What was done for those that could be understood.
        failures: Why a row has no score, by its position in the chunk.
        first: How many rows the input holds before it.
    """

    chunk: Chunk
    scored: Scored
    failures: Mapping[int, InstanceError]
    first: int

    @property
    def size(self) -> int:
        """How many rows the chunk has."""
        return self.chunk.request.size

    def sound(self) -> list[int]:
        """Positions of the rows that have scores."""
        return [at for at in range(self.size) if at not in self.failures]

    def scores(self) -> NDArray[np.float64]:
        """`(size, n_outputs)`, the scores of every row; NaN where it has none."""
        given = self.scored.scores
        if not self.chunk.request.failures:
            return given
        spread = np.full((self.size, given.shape[1]), np.nan)
        spread[self.chunk.request.indexes] = given
        return spread

    def prediction(self) -> Prediction:
        """The same as the service's own answer is made of."""
        rows = self.scored.scores.tolist()
        scores = [None if at in self.scored.failures else row for at, row in enumerate(rows)]
        return Prediction(self.chunk.request, self.scored.assembly, scores, dict(self.failures))


def outcome_of(chunk: Chunk, scored: Scored, first: int) -> Outcome:
    """What became of a chunk, of which `scored` are the instances that could be understood."""
    request = chunk.request
    failures: dict[int, InstanceError] = {
        **request.failures,
        **{request.indexes[at]: error for at, error in scored.failures.items()},
    }
    return Outcome(chunk, scored, failures, first)


def nothing_scored(chunk: Chunk, bundle: Bundle) -> Scored:
    """What is scored of a chunk of which nothing could be understood."""
    assembly = Assembly(chunk.request.instances, [], 0.0, 0.0)
    return Scored(assembly, np.empty((0, bundle.scorer.signature.n_outputs)), {})


def problem_of(outcome: Outcome, at: int, bundle: Bundle) -> dict[str, Any]:
    """The problem document of a row that has no score, and what an operator may know beyond it."""
    document = problem_for(outcome.failures[at]).document()
    hint = _quoted(outcome, at, bundle)
    return {**document, "index": outcome.first + at, **({"hint": hint} if hint else {})}


def error_lines(outcome: Outcome, unit: str, bundle: Bundle) -> bytes:
    """One JSON line for each row without a score: its place, what was sent, and why."""
    failed = sorted(outcome.failures)
    texts = outcome.chunk.sent.texts(failed)
    return b"".join(
        b'{"%s":%d,"instance":%b,"error":%b}\n'
        % (unit.encode(), outcome.chunk.places[at], text, orjson.dumps(problem_of(outcome, at, bundle)))
        for at, text in zip(failed, texts, strict=True)
    )


def _quoted(outcome: Outcome, at: int, bundle: Bundle) -> str | None:
    """A hint, where an entity is unknown and its key looks as if a writer of files had left something around it."""
    request = outcome.chunk.request
    if at in request.failures:
        return None
    view = problem_for(outcome.failures[at]).members.get("view")
    names = {part.name for one in bundle.spec.views if one.name == view for part in one.entity.keys}
    instance = request.instances[bisect_left(request.indexes, at)]
    for part, key in zip(bundle.spec.keys, instance.keys, strict=True):
        if part.name in names and key != key.strip(" \t\r\n\"'"):
            return f"{part.name!r} has quotes or spaces around it, which are part of the key"
    return None
