"""The golden self-test: does this build score the bundle's recorded lines as training did?

A line of golden.jsonl is `{"instance", "rows": {view: {"values", "event_time"}}, "now", "scores"}`. It is scored from
the line alone, through the same parsing, assembly and scoring as a request, and never touches the store.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from features.assembly import Assembler, Piece, as_float32
from features.errors import InstanceInvalid
from features.freshness import Bounds
from features.instances import InstanceParser
from features.judging import Judge
from features.planning import Instance, Instances
from features.spec import FeatureView, Spec
from features.values import Retrieved, ValueMismatch
from model.errors import ScoringFailed
from model.scorer import CatBoostScorer
from service.bundle import GOLDEN, Bundle
from service.errors import StartError

TOLERANCE: Final = 1e-9
"""Largest difference between a recorded and a computed score, relative to the recorded one where that is above 1. The
same model on another processor may differ in the last bits of a float64, which at 1e8 are 1.5e-8; a wrong feature
differs by far more."""


@dataclass(frozen=True, slots=True)
class GoldenLine:
    """One recorded prediction.

    Attributes:
        instance: What a caller would send, understood.
        sent: The same, as it was sent.
        retrieved: What the store would answer, for each view of the spec.
        now: Unix seconds at which it was recorded.
        scores: What training's own path gave.
    """

    instance: Instance
    sent: Any
    retrieved: tuple[Retrieved, ...]
    now: float
    scores: tuple[float, ...]


def golden_lines(data: bytes, spec: Spec) -> Iterator[GoldenLine]:
    """The lines of a golden.jsonl.

    Raises:
        StartError: A line is not what it should be; names the line.
    """
    parser = InstanceParser(spec)
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
            yield GoldenLine(
                parser.instance(record["instance"]),
                record["instance"],
                tuple(_row(record["rows"].get(view.name), view) for view in spec.views),
                float(record["now"]),
                tuple(_number(score) for score in record["scores"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, ValueMismatch, InstanceInvalid) as error:
            what = f"{type(error).__name__}: {error}"
            raise StartError(f"{GOLDEN}:{number}: is not a golden line ({what}); train the bundle again") from error


def self_test(bundle: Bundle, assembler: Assembler) -> int:
    """Scores every golden line; returns how many there were.

    Raises:
        StartError: A line does not score as recorded.
    """
    count = 0
    if bundle.golden is not None and not bundle.golden.strip():
        raise StartError(f"{GOLDEN}: holds no lines; train the bundle again, or remove the file")
    for count, line in enumerate(golden_lines(bundle.golden or b"", bundle.spec), start=1):
        found = score_golden(line, assembler, bundle.scorer)
        differences = [abs(a - b) / max(1.0, abs(b)) for a, b in zip(found, line.scores, strict=False)]
        within = all(one <= TOLERANCE for one in differences)  # which NaN is not
        if len(found) != len(line.scores) or not within:
            off = max(differences, default=0.0)
            raise StartError(
                f"{GOLDEN}: line {count} does not score as recorded (off by {off:.3g}, allowed {TOLERANCE:g}): "
                "model, serving.yaml and golden.jsonl are not of one training, or this build computes differently"
            )
    return count


def score_golden(line: GoldenLine, assembler: Assembler, scorer: CatBoostScorer) -> list[float]:
    """The scores of one line.

    Raises:
        StartError: Its vector cannot be assembled or scored.
    """
    assembly = Judge(assembler.spec).judge(
        Instances.of([line.instance]), [[one] for one in line.retrieved], Bounds(), line.now
    )
    for failure in assembly.failures.values():
        raise StartError(f"{GOLDEN}: a line cannot be scored: {failure}")
    try:
        vectors = assembler.vectors([Piece(assembly, 0, 1)])
        return [float(score) for score in scorer.score(as_float32(vectors.numeric), vectors.categorical)[0]]
    except ScoringFailed as error:
        raise StartError(f"{GOLDEN}: a line cannot be scored: {error}") from error


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("a score must be a number")
    return float(value)


def _row(record: dict[str, Any] | None, view: FeatureView) -> Retrieved:
    if record is None:
        return Retrieved(None)
    moments = (record.get("event_time"), *(record.get("event_times") or {}).values())
    if not all(moment is None or isinstance(moment, (int, float)) for moment in moments):
        raise TypeError("an event time must be Unix seconds")
    return Retrieved(view.layout.pack(record["values"], record.get("event_time"), record.get("event_times")))
