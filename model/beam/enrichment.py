"""Enrichment: batches of instances become the model's vectors, by the parts that requests are answered with.

Beam's own enrichment reads one key per call. Here a batch of instances costs one read of its distinct keys per view, at
a pace and with patience (`features.offline`); an outage that lasts for longer fails the bundle of elements, which the
runner tries again. Nothing is scored with what an outage left.
"""

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics
from apache_beam.utils.shared import Shared

from features.assembly import Assembler
from features.checks import store_problems
from features.clock import SystemClock
from features.errors import InstanceInvalid, StoreAnswerInvalid
from features.freshness import Bounds
from features.instances import InstanceParser
from features.judging import Assembly
from features.offline.counts import Counts
from features.offline.pace import Pace
from features.offline.patience import PATIENCE_S
from features.offline.reading import PatientReading
from features.offline.wiring import patient_reading
from features.planning import Instances, Planner
from features.sharing import SharedJudge
from model.beam.connecting import StoreAddress
from model.beam.contract import BundleContract
from model.beam.dead_letters import FAILED, Unreadable, dead_letter
from model.beam.own_loop import OwnLoop

BATCH_SIZE: Final = 1_000
"""Two of the store's reads for each view; more instances share more keys, and wait longer for each other."""

_VECTORS: Final = "vectors"
_COUNTED: Final = ("instances", "failed", "reads", "keys_read", "defaulted", "degraded")
"""Fields of `Counts` that become Beam's counters, in the namespace `keyscore`."""


class Vector(NamedTuple):
    """What the model is given for one instance, compact enough to travel.

    Attributes:
        numbers: float32 of the numeric features in the model's order.
        categories: The categorical features in the model's order.
    """

    numbers: bytes
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Demands:
    """What a pipeline asks of its enrichment.

    Attributes:
        batch_size: Instances that are read for together.
        ignore_extra: Whether undeclared members of an instance are passed over.
        max_age_s: How old a value may be by its event time; None for as old as its view allows.
        max_reads_per_s: Keys to read per second and worker process, all views together; None for as fast as it goes.
        patience_s: For how long a read is tried again while the store does not answer.
        cache_rows: Rows to remember per view, for as long as the view's own `cache` allows.
    """

    batch_size: int = BATCH_SIZE
    ignore_extra: bool = False
    max_age_s: float | None = None
    max_reads_per_s: float | None = None
    patience_s: float = PATIENCE_S
    cache_rows: int = 10_000


class Enrich(beam.PTransform):
    """Instances, as a request's `instances` hold them, become pairs of instance and `Vector`; dead letters go apart.

    What is `Unreadable` becomes a dead letter, too.
    """

    def __init__(self, contract: BundleContract, store: StoreAddress, demands: Demands | None = None) -> None:
        """Reads nothing yet.

        Args:
            contract: The bundle.
            store: Where its features are.
            demands: How to read them.
        """
        super().__init__()
        self._contract = contract
        self._store = store
        self._demands = demands or Demands()

    def expand(self, instances: Any) -> Any:
        """See `PTransform.expand`; the outputs are `vectors` and `failed`."""
        size = self._demands.batch_size
        return (
            instances
            | "Batch" >> beam.BatchElements(min_batch_size=size, max_batch_size=size)
            | "Read and assemble"
            >> beam.ParDo(EnrichBatch(self._contract, self._store, self._demands)).with_outputs(FAILED, main=_VECTORS)
        )


class EnrichBatch(beam.DoFn):
    """Enriches batches. Each copy has a store and an event loop of its own, from setup to teardown."""

    def __init__(self, contract: BundleContract, store: StoreAddress, demands: Demands) -> None:
        """Connects to nothing yet; see `Enrich`."""
        super().__init__()
        self._contract = contract
        self._store = store
        self._demands = demands
        self._loop: OwnLoop | None = None
        self._pace_of_process = Shared()  # the quota does not care which thread reads
        self._counters = {name: Metrics.counter("keyscore", name) for name in _COUNTED}

    def setup(self) -> None:
        """See `DoFn.setup`: opens the store.

        Raises:
            StoreError: It cannot be read, or does not hold what the bundle asks for.
        """
        spec = self._contract.spec
        self._parser = InstanceParser(spec)
        self._planner = Planner(spec)
        self._judge = SharedJudge(spec)
        self._assembler = Assembler(spec, self._contract.categorical)
        self._bounds = Bounds(max_age_s=self._demands.max_age_s)
        self._clock = SystemClock()
        self._counts = Counts()
        self._told = dict.fromkeys(_COUNTED, 0)
        self._opened = AsyncExitStack()
        self._loop = OwnLoop()
        try:
            self._reading = self._loop.run(self._open())
        except BaseException:
            self.teardown()
            raise

    def process(self, batch: Sequence[Any]) -> Iterator[Any]:
        """See `DoFn.process`.

        Raises:
            StoreUnavailable: An outage has lasted for longer than it may; the runner may try again.
            StoreDenied: The store refuses our identity.
        """
        failures: list[tuple[Any, Exception]]
        failures = [(one.sent, InstanceInvalid(one.why)) for one in batch if isinstance(one, Unreadable)]
        if failures:
            batch = [one for one in batch if not isinstance(one, Unreadable)]
        instances = Instances(len(self._contract.spec.keys), len(self._contract.spec.fields))
        refused = self._parser.read(batch, instances, ignore_extra=self._demands.ignore_extra)
        failures += [(batch[at], why) for at, why in refused.items()]
        self._counts.instances += len(failures)
        self._counts.failed += len(failures)
        understood = [sent for at, sent in enumerate(batch) if at not in refused] if refused else batch
        if understood:
            assert self._loop is not None  # noqa: S101  # from setup to teardown; for the type checker
            assembly, vectors = self._loop.run(self._assemble(instances))
            for at, (sent, vector) in enumerate(zip(understood, vectors, strict=True)):
                if at not in assembly.failures:
                    yield sent, vector
            failures += [(understood[at], why) for at, why in assembly.failures.items()]
        for sent, why in failures:
            yield beam.pvalue.TaggedOutput(FAILED, dead_letter(sent, why))
        self._count()

    def teardown(self) -> None:
        """See `DoFn.teardown`: closes what `setup` has opened; a runner may call it twice."""
        if self._loop is not None:
            loop, self._loop = self._loop, None
            loop.run(self._opened.aclose())
            loop.close()

    async def _open(self) -> PatientReading:
        spec, demands = self._contract.spec, self._demands
        store = self._store.connect(spec.views, self._clock, self._counts)
        self._opened.push_async_callback(store.aclose)
        await store.open()
        problems = await store_problems(spec, store)
        if problems:
            raise StoreAnswerInvalid("; ".join(problems))
        return await self._opened.enter_async_context(
            patient_reading(
                spec.views,
                store,
                self._clock,
                self._counts,
                max_rows=demands.cache_rows,
                pace=self._pace(),
                patience_s=demands.patience_s,
            )
        )

    def _pace(self) -> Pace | None:
        rate = self._demands.max_reads_per_s
        if rate is None:
            return None
        pace: Pace = self._pace_of_process.acquire(lambda: Pace(rate, self._clock))
        return pace

    async def _assemble(self, instances: Instances) -> tuple[Assembly, list[Vector]]:
        plan = self._planner.plan_shared(instances)
        rows = await self._reading.read([one.lookup for one in plan])
        which = [one.which for one in plan]
        wall, now = self._clock.wall(), self._clock.monotonic()
        assembly = self._judge.judge(instances, rows, which, self._bounds, wall=wall, now=now)
        vectors = self._assembler.shared_vectors(assembly)
        self._counts.add(assembly, self._contract.spec.views)
        return assembly, _apart(vectors.numeric, vectors.categorical)

    def _count(self) -> None:
        """Tells Beam what has been counted since the last time."""
        for name, counter in self._counters.items():
            total = getattr(self._counts, name)
            counter.inc(total - self._told[name])
            self._told[name] = total


def _apart(numeric: "np.ndarray[Any, Any]", categorical: "np.ndarray[Any, Any]") -> list[Vector]:
    """Each row as a vector of its own; the numbers are rounded to float32 as `features.assembly.as_float32` does."""
    packed = np.ascontiguousarray(numeric, dtype=np.float32).tobytes()
    width = 4 * numeric.shape[1]
    rows = map(tuple, categorical.tolist())
    return [Vector(packed[at * width : (at + 1) * width], texts) for at, texts in enumerate(rows)]
