"""The life of a request, in seven stages.

    admit → parse → plan → retrieve → assemble → score → respond

Each name is the method, the span, the metric label and the row in the benchmark's report; the time of each is taken
in one place.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import TracebackType
from typing import Final

from features.assembly import Assembler, Piece
from features.clock import Clock
from features.deadline import Deadline
from features.errors import DeadlineExceeded, FeatureUnread, StoreAnswerInvalid, StoreDenied
from features.events import Observer
from features.freshness import Bounds
from features.judging import Assembly, Judge
from features.planning import Instances, Lookup, Planner
from features.retrieval import Retrieval
from features.turns import CUT, SLICE, Turns
from features.values import Retrieved
from model.batching import ROWS_AT_ONCE, Batcher
from model.errors import ScoreNotFinite
from service.admission import Admission, Permit
from service.bundle import Bundle
from service.errors import DegradedRefused, DetailedOff, InstanceFailed
from service.events import InstancesAssembled, RowsAged, Stage, ValuesSubstituted, Watch
from service.parameters import SHIPPED
from service.parsing import ParsedRequest, RequestParser
from service.prediction import InstanceError, ManyScores, Prediction, joined, n_without
from service.responses import Answer, DetailedAnswer, simple_answer
from service.schemas import Parameters
from service.scoring import Scoring
from service.turnstile import Turnstile

_PARTS_AT_ONCE: Final = 16
"""Detailed instances that are written in one go; each takes 0.05 ms."""

_ROWS_AGED: Final = 32
"""Rows of a view whose age is noted in a watched request; ten thousand would hold the loop up for milliseconds."""

_ONE_PLAIN: Final = InstancesAssembled(1, {})
"""Said most of all."""

_UNTIMED: Final = nullcontext()

_OF_ONE_INSTANCE: Final = (StoreAnswerInvalid, StoreDenied)
"""Read failures that may concern single instances; every other one is an outage and fails the request."""


class Pipeline:
    """Answers prediction requests for one bundle."""

    __slots__ = (
        "_batcher",
        "_bundle",
        "_clock",
        "_detailed",
        "_features_share",
        "_judge",
        "_observer",
        "_parser",
        "_planner",
        "_retrieval",
        "_turns",
        "_turnstile",
        "admission",
    )

    def __init__(
        self,
        bundle: Bundle,
        assembler: Assembler,
        retrieval: Retrieval,
        admission: Admission,
        *,
        clock: Clock,
        observer: Observer,
        max_instances: int,
        features_share: float,
        turns: Turns | None = None,
        turnstile: Turnstile | None = None,
        detailed: bool = True,
        parameters: Parameters = SHIPPED,
    ) -> None:
        """Puts the stages together.

        Args:
            bundle: The model and its spec.
            assembler: Makes vectors for this spec.
            retrieval: Reads this spec's views.
            admission: Lets requests in.
            clock: The time.
            observer: Who learns of rows and substitutions.
            max_instances: How many instances one request may hold.
            features_share: Share of the budget that reading features may use.
            turns: Where long work waits for its turn; its own if it shares them with nobody.
            turnstile: Where requests that had to wait for features go on; None where nobody else is served.
            detailed: Whether detailed answers are given at all.
            parameters: Those that hold where a request does not say.
        """
        self._bundle = bundle
        self._judge = Judge(bundle.spec)
        self._retrieval = retrieval
        self._planner = Planner(bundle.spec)
        self._parser = RequestParser(bundle.spec, max_instances, parameters)
        self._clock = clock
        self._observer = observer
        self._features_share = features_share
        self._detailed = detailed
        self._batcher = Batcher(Scoring(assembler, bundle.scorer, observer))
        self._turns = turns or Turns()
        self._turnstile = turnstile
        self.admission = admission

    async def answer(self, body: bytes, permit: Permit, *, detailed: bool) -> Answer:
        """The answer to a request.

        Args:
            body: The request's body.
            permit: Its place and deadline.
            detailed: The style, unless the request itself says.

        Raises:
            RequestError: The request is at fault.
            FeaturesError: Features are.
        """
        request = await self.parse(body, permit)
        deadline = permit.deadline
        style = request.parameters.response
        in_detail = style == "detailed" or (style is None and detailed)
        if in_detail and not self._detailed:
            raise DetailedOff
        prediction = await self.predict(request, permit.arrived, deadline, permit.watch)
        answer = await self.respond(prediction, deadline, permit.watch, detailed=in_detail)
        if answer.degraded or answer.defaulted:
            self._observer.observe(ValuesSubstituted(answer.degraded, answer.defaulted))
        return answer

    async def predict(
        self, request: ParsedRequest, arrived: float, deadline: Deadline, watch: Watch | None = None
    ) -> Prediction:
        """Scores the instances of a request that has been understood and arrived at `arrived`.

        Raises:
            RequestError: An instance fails and the request says that it must not.
            FeaturesError: Features cannot be read, or the deadline has passed.
        """
        parameters, failures = request.parameters, dict[int, InstanceError](request.failures)
        if failures:
            self._refuse_failures(failures, parameters.on_error)
        if deadline.passed:  # a read whose answer nobody waits for would only be load
            raise DeadlineExceeded("the deadline passed before features were read")
        bounds = Bounds.of_request(arrived, parameters.max_cached_s, parameters.max_age_s)
        lookups = self.plan(request.instances, watch)
        retrieved = await self.retrieve(lookups, bounds, arrived, deadline, watch)
        assembly = await self.assemble(request.instances, retrieved, bounds, deadline, watch)
        count = len(request.instances)
        plain = count == 1 and not assembly.absent
        self._observer.observe(_ONE_PLAIN if plain else InstancesAssembled(count, assembly.absent))
        if watch is not None:
            self._note_ages(assembly)
        if assembly.failures:
            failures.update({request.indexes[index]: error for index, error in assembly.failures.items()})
            self._refuse_failures(failures, parameters.on_error)
        if parameters.on_degraded == "fail" and assembly.degraded:
            raise DegradedRefused("features had to be substituted or are too stale, and on_degraded is fail")
        if deadline.passed:
            raise DeadlineExceeded("the deadline passed before scoring")
        scores = await self.score(assembly, deadline, watch)
        if n_without(scores) > len(assembly.failures):
            failures.update({request.indexes[index]: error for index, error in _unscored(assembly, scores)})
            self._refuse_failures(failures, parameters.on_error)
        return Prediction(request, assembly, scores, failures)

    async def parse(self, body: bytes, permit: Permit) -> ParsedRequest:
        """Bytes to instances; a budget that the body names holds before they are read, which may take a while."""
        with self._timed(Stage.PARSE, permit.watch):
            request = self._parser.open(body)
            if request.parameters.timeout_ms is not None:
                named = permit.arrived + request.parameters.timeout_ms / 1000
                permit.deadline = Deadline(min(permit.latest, named), self._clock)
            if request.size <= SLICE:
                self._parser.read(request, 0, request.size)
                return request
            await self._turns.over(request.size, partial(self._parser.read, request), permit.deadline)
            return request

    def plan(self, instances: Instances, watch: Watch | None = None) -> tuple[Lookup, ...]:
        """Which rows of which views."""
        with self._timed(Stage.PLAN, watch):
            return self._planner.plan(instances)

    async def retrieve(
        self,
        lookups: Sequence[Lookup],
        bounds: Bounds,
        arrived: float,
        deadline: Deadline,
        watch: Watch | None = None,
    ) -> list[Sequence[Retrieved]]:
        """The rows, from cache or store."""
        with self._timed(Stage.RETRIEVE, watch):
            if not lookups or len(lookups[0].keys) <= SLICE:
                remembered = self._retrieval.remembered(lookups, bounds)
                if remembered is not None:
                    return remembered
            turns = 0 if self._turnstile is None else self._turnstile.turns
            features_deadline = self._features_deadline(arrived, deadline)
            retrieved = await self._retrieval.retrieve(lookups, bounds, features_deadline, deadline)
            if self._turnstile is not None and self._turnstile.turns != turns:  # one read may answer hundreds at once
                await self._turnstile.go_on()
            return retrieved

    async def assemble(
        self,
        instances: Instances,
        retrieved: Sequence[Sequence[Retrieved]],
        bounds: Bounds,
        deadline: Deadline,
        watch: Watch | None = None,
    ) -> Assembly:
        """Which values the model gets, and what stands for those that cannot be used."""
        with self._timed(Stage.ASSEMBLE, watch):
            assembly = Assembly(instances, retrieved, self._clock.wall(), self._clock.monotonic())
            count = len(instances)
            if count <= SLICE:
                self._judge.judge_range(assembly, bounds, 0, count)
            else:
                await self._turns.over(count, partial(self._judge.judge_range, assembly, bounds), deadline)
            return assembly

    async def score(self, assembly: Assembly, deadline: Deadline, watch: Watch | None = None) -> ManyScores:
        """The model's outputs for each instance, in one call with the rows of others who wait for theirs."""
        with self._timed(Stage.SCORE, watch):
            n_rows = len(assembly.instances)
            if not n_rows:
                return []
            if n_rows <= ROWS_AT_ONCE:
                return await self._batcher.submit(Piece(assembly, 0, n_rows), n_rows)
            parts: list[ManyScores] = []
            for start in range(0, n_rows, CUT):
                if start and deadline.passed:
                    raise DeadlineExceeded("the deadline passed while the request was being scored")
                stop = min(start + CUT, n_rows)
                parts.append(await self._batcher.submit(Piece(assembly, start, stop), stop - start))
                if stop < n_rows:
                    await self._turns.of_others()
            return joined(parts)

    async def respond(
        self, prediction: Prediction, deadline: Deadline, watch: Watch | None = None, *, detailed: bool
    ) -> Answer:
        """The answer's bytes; a long detailed one lets others have their turn, and ends at the deadline."""
        with self._timed(Stage.RESPOND, watch):
            if not detailed:
                return simple_answer(prediction)
            answer = DetailedAnswer(self._bundle, prediction)
            await self._turns.over(prediction.request.size, answer.write, deadline, at_once=_PARTS_AT_ONCE)
            return answer.whole()

    def _features_deadline(self, arrived: float, deadline: Deadline) -> Deadline:
        return deadline.sooner(arrived + self._features_share * (deadline.at - arrived))

    def _note_ages(self, assembly: Assembly) -> None:
        """States how old rows of each view are that come with an event time."""
        for view, rows in zip(self._bundle.spec.views, assembly.retrieved, strict=True):
            used = (one.row for one in rows[:_ROWS_AGED] if one.row is not None)
            ages_s = tuple(max(0.0, assembly.wall - row.event_time) for row in used if row.event_time is not None)
            if ages_s:
                self._observer.observe(RowsAged(view.name, ages_s))

    def _refuse_failures(self, failures: Mapping[int, InstanceError], on_error: str) -> None:
        """Raises the first failure that the request does not answer in the instance's place."""
        for index in sorted(failures):
            reason = failures[index]
            outage = isinstance(reason, FeatureUnread) and not isinstance(reason.cause, _OF_ONE_INSTANCE)
            if outage or on_error == "fail":
                raise InstanceFailed(index, reason)

    def _timed(self, stage: Stage, watch: Watch | None) -> AbstractContextManager[None]:
        return _UNTIMED if watch is None else _Timed(stage, self._clock, watch)


def _unscored(assembly: Assembly, scores: ManyScores) -> Iterator[tuple[int, ScoreNotFinite]]:
    """The instances that the model gave no finite score; whatever was used in place of values does not count."""
    for index, one in enumerate(scores):
        if one is None and index not in assembly.failures:
            assembly.degraded.pop(index, None)
            assembly.defaulted.pop(index, None)
            yield index, ScoreNotFinite()


class _Timed:
    """Takes the time of a stage; the one place where that is done."""

    __slots__ = ("_began", "_clock", "_stage", "_watch")

    def __init__(self, stage: Stage, clock: Clock, watch: Watch) -> None:
        self._stage = stage
        self._clock = clock
        self._watch = watch

    def __enter__(self) -> None:
        self._began = self._clock.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.stage_ended(self._stage, self._began, self._clock.monotonic())
