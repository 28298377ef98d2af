"""Predictions as JSON lines of `{"instance", "prediction"}`, as Vertex AI batch prediction writes them."""

from collections.abc import Iterable

import orjson

from service.bundle import Bundle
from service.offline.outcomes import Outcome, problem_of
from service.responses import detailed_parts

_NULL = b"null"


class JsonRows:
    """Writes the outcome of chunks as JSON lines."""

    __slots__ = ("_bundle", "_detailed", "_skip")

    def __init__(self, bundle: Bundle, *, detailed: bool, skip: bool) -> None:
        """Prepares for a bundle.

        Args:
            bundle: What is predicted with.
            detailed: Whether a prediction is what the detailed route answers; else what the simple one does.
            skip: Whether rows without a score are left out.
        """
        self._bundle = bundle
        self._detailed = detailed
        self._skip = skip

    def __call__(self, outcome: Outcome) -> bytes:
        """The lines of a chunk."""
        predictions = self._in_detail(outcome) if self._detailed else _simple(outcome)
        rows = zip(outcome.chunk.sent.texts(), predictions, strict=True)
        if self._skip and outcome.failures:
            rows = (row for at, row in enumerate(rows) if at not in outcome.failures)  # type: ignore[assignment]
        return b"".join([b'{"instance":%b,"prediction":%b}\n' % row for row in rows])

    def _in_detail(self, outcome: Outcome) -> Iterable[bytes]:
        parts = detailed_parts(self._bundle, outcome.prediction())
        if not outcome.failures:
            return parts
        return (
            orjson.dumps({**orjson.loads(part), "error": problem_of(outcome, at, self._bundle)})
            if at in outcome.failures
            else part
            for at, part in enumerate(parts)
        )


def _simple(outcome: Outcome) -> list[bytes]:
    """Each row's scores. They are spelt all at once and then cut apart, a third of the time."""
    spelt = orjson.dumps(outcome.scores().tolist())[2:-2].split(b"],[")
    if not outcome.failures:
        return [b"[%b]" % scores for scores in spelt]
    return [_NULL if at in outcome.failures else b"[%b]" % scores for at, scores in enumerate(spelt)]
