"""Scores instances by the ten thousand, with the features, the assembly and the model that requests are answered with.

    instances ─► distinct keys ─► rows ─► judged and packed once each ─► gathered ─► CatBoost
     a chunk      per entity     (read)            per distinct row       by index

Scores are bit by bit those of the online route. All but reading is done in a thread, so that the loop stays free, and
so that the caller can read the next chunk and write the last one meanwhile: CatBoost lets go of the interpreter while
it scores.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.assembly import Assembler, as_float32
from features.clock import Clock
from features.freshness import Bounds
from features.judging import Assembly
from features.offline.counts import Counts
from features.offline.reading import PatientReading
from features.planning import Instances, Planner, Shared
from features.sharing import SharedJudge
from features.values import Retrieved
from model.errors import ScoreNotFinite, ScoresNotFinite
from service.bundle import Bundle
from service.prediction import InstanceError

_NO_BOUNDS: Final = Bounds()


class Scored(NamedTuple):
    """The outcome of one chunk.

    Attributes:
        assembly: What its instances were scored with; `features.provenance.explain` tells it.
        scores: float64, `(n_instances, n_outputs)`, in the order of the instances; NaN where one has failed.
        failures: Why an instance could not be scored, by its index.
    """

    assembly: Assembly
    scores: NDArray[np.float64]
    failures: Mapping[int, InstanceError]


class OfflineScoring:
    """Scores chunks of instances; several at the same time, if need be.

    Attributes:
        bundle: The model and its spec.
        counts: What has been done so far.
    """

    __slots__ = ("_assembler", "_bounds", "_clock", "_judge", "_planner", "_reading", "_threads", "bundle", "counts")

    def __init__(
        self,
        bundle: Bundle,
        assembler: Assembler,
        reading: PatientReading,
        counts: Counts,
        *,
        clock: Clock,
        threads: int = 1,
        bounds: Bounds = _NO_BOUNDS,
    ) -> None:
        """Puts the stages together.

        Args:
            bundle: The model and its spec.
            assembler: Makes vectors for this spec.
            reading: Reads this spec's views.
            counts: Where to count what is done.
            clock: The time.
            threads: Threads for CatBoost. One, where the caller has work for another core meanwhile.
            bounds: What is demanded of values, where requests do not say.
        """
        self.bundle = bundle
        self.counts = counts
        self._assembler = assembler
        self._reading = reading
        self._clock = clock
        self._threads = threads
        self._bounds = bounds
        self._planner = Planner(bundle.spec)
        self._judge = SharedJudge(bundle.spec)

    async def score(self, instances: Instances) -> Scored:
        """The scores of all instances; failures of single ones are in it, not raised.

        Args:
            instances: A chunk. What is done once per distinct row weighs the less the longer it is.

        Raises:
            StoreUnavailable: An outage has lasted for longer than the job's patience.
            StoreDenied: The store refuses our identity.
            ScoringFailed: CatBoost refuses the matrix.
        """
        plan = await asyncio.to_thread(self._planner.plan_shared, instances)
        rows = await self._reading.read([one.lookup for one in plan])
        scored = await asyncio.to_thread(self._score, instances, plan, rows)
        unscored = len(scored.failures) - len(scored.assembly.failures)
        self.counts.add(scored.assembly, self.bundle.spec.views, self._bounds.max_age_s, unscored)
        return scored

    def _score(self, instances: Instances, plan: Sequence[Shared], rows: Sequence[Sequence[Retrieved]]) -> Scored:
        moment = {"wall": self._clock.wall(), "now": self._clock.monotonic()}
        assembly = self._judge.judge(instances, rows, [one.which for one in plan], self._bounds, **moment)
        vectors = self._assembler.shared_vectors(assembly)
        numeric, categorical = as_float32(vectors.numeric), vectors.categorical
        if not assembly.failures:
            return _scored(assembly, self._predict(numeric, categorical))
        sound = np.ones(len(instances), dtype=bool)
        sound[list(assembly.failures)] = False
        scores = np.full((len(instances), self.bundle.scorer.signature.n_outputs), np.nan)
        scores[sound] = self._predict(numeric[sound], categorical[sound])
        return _scored(assembly, scores)

    def _predict(self, numeric: NDArray[np.float32], categorical: NDArray[np.object_]) -> NDArray[np.float64]:
        try:
            return self.bundle.scorer.score(numeric, categorical, threads=self._threads)
        except ScoresNotFinite as error:
            return error.scores


def _scored(assembly: Assembly, scores: NDArray[np.float64]) -> Scored:
    """The outcome; who is without a score though nothing failed before, has failed by that."""
    missing = np.flatnonzero(np.isnan(scores[:, -1])).tolist()
    if len(missing) == len(assembly.failures):
        return Scored(assembly, scores, assembly.failures)
    failures: dict[int, InstanceError] = {**assembly.failures}
    for index in missing:
        if index not in failures:  # nothing was scored with what was used in place of values
            assembly.degraded.pop(index, None)
            assembly.defaulted.pop(index, None)
            failures[index] = ScoreNotFinite()
    return Scored(assembly, scores, failures)
