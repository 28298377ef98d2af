"""What is scored together: rows of requests that wait at the same moment, in one matrix and one CatBoost call."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from features.assembly import Assembler, Piece, as_float32
from features.events import Observer
from model.errors import ScoresNotFinite
from model.scorer import CatBoostScorer
from service.events import RowsScored
from service.prediction import ManyScores, each_of

_MANY: Final = 32
"""So many instances, and their scores are written faster from an array than from lists."""


class Scoring:
    """Scores pieces of requests, as `model.batching.Batcher` asks for it."""

    __slots__ = ("_assembler", "_has_classes", "_observer", "_scorer")

    def __init__(self, assembler: Assembler, scorer: CatBoostScorer, observer: Observer) -> None:
        """Puts a matrix maker and a model together.

        Args:
            assembler: Makes the matrix.
            scorer: The model.
            observer: Who learns of scoring calls.
        """
        self._assembler = assembler
        self._scorer = scorer
        self._observer = observer
        self._has_classes = scorer.signature.classes is not None

    def __call__(self, pieces: Sequence[Piece]) -> Sequence[ManyScores]:
        """The scores of every instance of each piece, None for those that have failed or have no finite score.

        A large piece gets an array: to make a thousand lists takes as long as to write them.

        Raises:
            ScoringFailed: CatBoost refuses the matrix.
        """
        vectors = self._assembler.vectors(pieces)
        numeric, categorical = as_float32(vectors.numeric), vectors.categorical
        sound = _sound(pieces)
        if sound is not None:
            numeric, categorical = numeric[sound], categorical[sound]
        rows: ManyScores
        try:
            rows = scored = np.ascontiguousarray(self._scorer.score(numeric, categorical))
        except ScoresNotFinite as error:
            scored = error.scores[~error.lost]  # a histogram's sum would be NaN for good
            rows = [None if lost else row for row, lost in zip(error.scores.tolist(), error.lost, strict=True)]
        self._observer.observe(RowsScored(len(rows), scored[:, -1] if self._has_classes else None))
        if sound is not None:
            scores = iter(each_of(rows))
            rows = [next(scores) if one else None for one in sound]
        elif len(rows) < _MANY or len(rows) == len(pieces):
            rows = each_of(rows)  # all are small, and one call makes all of their lists
        answers, row = [], 0
        for _, start, stop in pieces:
            own = rows[row : row + stop - start]
            answers.append(own if len(own) >= _MANY else each_of(own))
            row += stop - start
        return answers


def _sound(pieces: Sequence[Piece]) -> list[bool] | None:
    """Which rows may be scored; None for all of them, as nearly always."""
    if not any(assembly.failures for assembly, _, _ in pieces):
        return None
    return [index not in assembly.failures for assembly, start, stop in pieces for index in range(start, stop)]
