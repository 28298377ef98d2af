"""Few requests are watched: some by lot for their timings, and for a trace those whose caller says so."""

from collections.abc import Callable
from random import Random

import pytest

from features.events import Event
from service.events import Stage, StageEnded
from service.watching import TracedRequest, Watching

_SAMPLED = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
_UNSAMPLED = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
_CLOUD = (b"x-cloud-trace-context", b"0af7651916cd43dd8448eb211c80319c/7;o=1")
_CLOUD_UNDECIDED = (b"x-cloud-trace-context", b"0af7651916cd43dd8448eb211c80319c/7")
_MALFORMED = (b"traceparent", b"00-nonsense")


class Seen:
    """An observer and a tracer that keep what they get."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.traces: list[TracedRequest] = []

    def observe(self, event: Event, /) -> None:
        self.events.append(event)

    def take(self, request: TracedRequest, /) -> None:
        self.traces.append(request)


def watching(
    seen: Seen, lot: float = 0.5, *, stage_sampling: int = 1_000_000, trace_ratio: float = 0.0, tracer: bool = True
) -> Watching:
    return Watching(
        seen, seen if tracer else None, stage_sampling=stage_sampling, trace_ratio=trace_ratio, lots=lambda: lot
    )


def _lots() -> Callable[[], float]:
    return Random(7).random  # noqa: S311  # lots, no secrets


def finish(watched: Watching, *headers: tuple[bytes, bytes]) -> bool:
    watch = watched.begin([(b"host", b"a"), *headers])
    if watch is None:
        return False
    watch.stage_ended(Stage.PLAN, 1.0, 1.25)
    watch.finished("POST", "/predict", 200, 0.5, 2.0)
    return True


def test_a_request_without_luck_is_not_watched() -> None:
    seen = Seen()
    assert not finish(watching(seen))
    assert not finish(watching(seen), _UNSAMPLED)
    assert not seen.events
    assert not seen.traces


def test_one_in_so_many_has_its_stages_timed() -> None:
    seen = Seen()
    watched = Watching(seen, stage_sampling=16, trace_ratio=0.0, lots=_lots())
    n = sum(finish(watched) for _ in range(16_000))
    assert 900 < n < 1_100
    assert seen.events == [StageEnded(Stage.PLAN, 0.25)] * n


def test_with_a_sampling_of_one_every_request_is_timed() -> None:
    seen = Seen()
    assert finish(watching(seen, 0.999_999, stage_sampling=1))
    assert seen.events == [StageEnded(Stage.PLAN, 0.25)]


def test_a_share_is_traced_when_nobody_decided() -> None:
    seen = Seen()
    watched = Watching(seen, seen, stage_sampling=10**9, trace_ratio=0.1, lots=_lots())
    for headers in ([], [_MALFORMED], [_CLOUD_UNDECIDED]):
        before = len(seen.traces)
        for _ in range(5_000):
            finish(watched, *headers)
        assert 430 < len(seen.traces) - before < 570


def test_a_ratio_of_one_traces_all_and_of_zero_none() -> None:
    seen = Seen()
    assert finish(watching(seen, 0.999_999, trace_ratio=1.0))
    assert len(seen.traces) == 1
    finish(watching(seen, 0.0, trace_ratio=0.0))
    assert len(seen.traces) == 1


@pytest.mark.parametrize(("header", "parent"), [(_SAMPLED, 0xB7AD6B7169203331), (_CLOUD, 7)])
def test_who_says_sampled_is_traced_in_his_trace_below_his_span(header: tuple[bytes, bytes], parent: int) -> None:
    seen = Seen()
    assert finish(watching(seen), header)
    [trace] = seen.traces
    assert trace.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert trace.parent_id == parent
    assert trace.context.span_id not in (0, parent)
    assert trace.context.sampled
    assert trace.stages == [(Stage.PLAN, 1.0, 1.25)]
    assert (trace.method, trace.route, trace.status, trace.began, trace.ended) == ("POST", "/predict", 200, 0.5, 2.0)


def test_who_says_unsampled_is_not_traced_whatever_the_ratio() -> None:
    seen = Seen()
    assert not finish(watching(seen, trace_ratio=1.0), _UNSAMPLED)


def test_an_undecided_caller_still_says_which_trace() -> None:
    seen = Seen()
    assert finish(watching(seen, trace_ratio=1.0), _CLOUD_UNDECIDED)
    assert seen.traces[0].context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert seen.traces[0].parent_id == 7


def test_a_trace_of_our_own_has_ids_and_no_parent() -> None:
    seen = Seen()
    watched = watching(seen, trace_ratio=1.0)
    finish(watched)
    finish(watched, _MALFORMED)
    one, other = seen.traces
    assert one.context.trace_id
    assert one.context.trace_id != other.context.trace_id
    assert one.parent_id == other.parent_id == 0


def test_a_trace_that_a_caller_asked_for_stays_out_of_the_timings() -> None:
    seen = Seen()
    finish(watching(seen), _SAMPLED)
    assert not seen.events


def test_without_a_tracer_timings_are_taken_and_nothing_is_traced() -> None:
    seen = Seen()
    watch = watching(seen, stage_sampling=1, trace_ratio=1.0, tracer=False).begin([_SAMPLED])
    assert watch is not None
    assert watch.context is None
    watch.finished("POST", "/predict", 200, 0.0, 1.0)
    assert not seen.traces
    assert not finish(watching(seen, tracer=False), _SAMPLED)
