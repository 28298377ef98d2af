"""Who is watched, and what becomes of it: stage timings for the observer, a trace for the tracer.

Watching costs a request some 20 µs, deciding not to watch it a fraction of one. So few are watched: one in so many
for its stage timings, drawn by lot whoever calls; and for a trace those whose caller said so, or, where no caller
decided, a small share by lot. The timings of a request that is watched only for its trace stay out of the metrics:
callers trace what they are curious about, which is no fair sample.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import getrandbits, random
from typing import Final, Protocol

from features.events import Observer
from service.events import Stage, StageEnded
from service.header_fields import Headers
from service.trace_context import TraceContext, context_of, is_sampled, trace_header

_NOWHERE: Final = TraceContext(0, 0, sampled=None)


@dataclass(frozen=True, slots=True)
class TracedRequest:
    """What a trace tells of one request; times are on the monotonic clock.

    Attributes:
        context: Its own place in the trace.
        parent_id: The caller's span; 0 if there is none.
        method: Its HTTP method.
        route: The path template; from a closed set.
        status: HTTP status of the answer.
        began: When it arrived.
        ended: When its answer ended.
        stages: Stage, begin and end of each.
    """

    context: TraceContext
    parent_id: int
    method: str
    route: str
    status: int
    began: float
    ended: float
    stages: list[tuple[Stage, float, float]]


class Tracer(Protocol):
    """Somebody who takes traces."""

    def take(self, request: TracedRequest, /) -> None:
        """Takes note; must be quick, must not block and must not raise."""
        ...


class RequestWatch:
    """Follows one request.

    Attributes:
        context: Its place in a trace that is recorded; None if it is watched for its timings alone.
    """

    __slots__ = ("_observer", "_parent_id", "_stages", "_tracer", "context")

    def __init__(
        self,
        observer: Observer | None,
        tracer: Tracer | None = None,
        context: TraceContext | None = None,
        parent_id: int = 0,
    ) -> None:
        """Begins.

        Args:
            observer: Who learns of its stage timings, if anybody.
            tracer: Who takes its trace, if anybody.
            context: Its place in the trace.
            parent_id: The caller's span; 0 if there is none.
        """
        self._observer = observer
        self._tracer = tracer
        self._parent_id = parent_id
        self._stages: list[tuple[Stage, float, float]] = []
        self.context = context

    def stage_ended(self, stage: Stage, began: float, ended: float) -> None:
        """See `service.events.Watch`."""
        self._stages.append((stage, began, ended))

    def finished(self, method: str, route: str, status: int, began: float, ended: float) -> None:
        """Hands on what was gathered; called once, when the answer has left."""
        if self._observer is not None:
            for stage, stage_began, stage_ended in self._stages:
                self._observer.observe(StageEnded(stage, stage_ended - stage_began))
        if self._tracer is not None and self.context is not None:
            self._tracer.take(
                TracedRequest(self.context, self._parent_id, method, route, status, began, ended, self._stages)
            )


class Watching:
    """Decides which requests are watched."""

    __slots__ = ("_observer", "_random", "_timed_share", "_traced_share", "_tracer")

    def __init__(
        self,
        observer: Observer,
        tracer: Tracer | None = None,
        *,
        stage_sampling: int,
        trace_ratio: float,
        lots: Callable[[], float] = random,
    ) -> None:
        """Sets the shares.

        Args:
            observer: Who learns of stage timings.
            tracer: Who takes traces; without one nothing is traced.
            stage_sampling: One request in this many has its stages timed.
            trace_ratio: Share of requests that are traced when the caller has not decided.
            lots: Draws evenly from 0 up to, not including, 1. The default is seeded afresh in every worker.
        """
        self._observer = observer
        self._tracer = tracer
        self._timed_share: Final = 1 / stage_sampling
        self._traced_share: Final = 0.0 if tracer is None else trace_ratio
        self._random = lots

    def begin(self, headers: Headers) -> RequestWatch | None:
        """A watch for the request with these headers, if it is to be watched; most are not."""
        # One lot serves both questions: who is traced by lot is then mostly watched anyway.
        lot = self._random()
        timed = lot < self._timed_share
        traced = lot < self._traced_share
        header = None
        if self._tracer is not None:
            header = trace_header(headers)
            if header is not None and (sampled := is_sampled(header)) is not None:
                traced = sampled
        if not timed and not traced:
            return None
        observer = self._observer if timed else None
        if not traced:
            return RequestWatch(observer)
        caller = _NOWHERE if header is None else context_of(header)
        # zero is no id
        context = TraceContext(caller.trace_id or getrandbits(128) or 1, getrandbits(64) or 1, sampled=True)
        return RequestWatch(observer, self._tracer, context, caller.span_id)
