"""A request gets a permit and a deadline, or is refused at once, by its headers alone."""

import pytest

from features.clock import ManualClock
from features.errors import DeadlineExceeded
from features.events import Event
from service.admission import BUDGET_SHARE_WANTED, PERMIT, WAIT_WANTED_S, Admission, admitted
from service.errors import Shed, TimeoutInvalid
from service.events import RequestShed, Stage
from service.limits import FixedLimit, GradientLimit


class Notes(list[Event]):
    """An observer that writes everything down."""

    def observe(self, event: Event, /) -> None:
        self.append(event)


class Follower:
    """A watch that writes everything down."""

    def __init__(self) -> None:
        self.seen: list[tuple[Stage, float, float]] = []

    def stage_ended(self, stage: Stage, began: float, ended: float) -> None:
        self.seen.append((stage, began, ended))


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def admission(clock: ManualClock, notes: Notes) -> Admission:
    """Two small and one large request at once, a second each, at most ten."""
    return Admission(FixedLimit(2), FixedLimit(1), deadline_s=1.0, max_deadline_s=10.0, clock=clock, observer=notes)


def headers(length: int | None = 100, timeout_ms: str | None = None) -> list[tuple[bytes, bytes]]:
    found = [(b"host", b"x"), (b"content-type", b"application/json")]
    if length is not None:
        found.append((b"content-length", b"%d" % length))
    if timeout_ms is not None:
        found.append((b"x-request-timeout-ms", timeout_ms.encode()))
    return found


def test_a_permit_carries_arrival_deadline_and_the_latest_one_that_the_body_may_name(admission: Admission) -> None:
    permit = admission.admit(headers())
    assert (permit.arrived, permit.deadline.at, permit.latest) == (1000.0, 1001.0, 1010.0)


@pytest.mark.parametrize(
    ("asked", "budget_s"), [("250", 0.25), ("2500", 2.5), ("1", 0.001), ("1.5", 0.0015), ("99999999", 10.0)]
)
def test_the_header_names_the_budget_up_to_the_cap_and_the_body_cannot_lengthen_it(
    admission: Admission, asked: str, budget_s: float
) -> None:
    permit = admission.admit(headers(timeout_ms=asked))
    assert permit.deadline.at == permit.latest == pytest.approx(1000 + budget_s)


@pytest.mark.parametrize(
    "asked", ["", "0", "0.0", "0.999", "-5", "nan", "inf", "1e3", "1_000", "5 s", "٣", ".", "1.2.3"]
)
def test_a_budget_that_is_no_number_of_milliseconds_is_refused_and_takes_no_place(
    admission: Admission, asked: str
) -> None:
    with pytest.raises(TimeoutInvalid, match="number of milliseconds, at least 1"):
        admission.admit(headers(timeout_ms=asked))
    assert admission.in_flight == 0


@pytest.mark.parametrize(
    ("length", "partition"),
    [(0, "interactive"), (16_384, "interactive"), (16_385, "large"), (10**10, "large"), (None, "large")],
)
def test_a_request_is_large_when_its_length_is_over_16_kib_or_unknown(
    admission: Admission, length: int | None, partition: str
) -> None:
    admission.admit(headers(length))
    assert [one.name for one in admission.partitions if one.in_flight] == [partition]


def test_one_request_more_than_the_limit_is_shed_and_told_of(admission: Admission, notes: Notes) -> None:
    with admission.admit(headers()), admission.admit(headers()):
        assert repr(admission) == "<Admission interactive 2/2, large 0/1>"
        with pytest.raises(Shed, match="try again a little later"):
            admission.admit(headers())
    assert notes == [RequestShed("interactive", "limit")]
    assert admission.in_flight == 0


def test_neither_kind_takes_the_others_places(admission: Admission, notes: Notes) -> None:
    with admission.admit(headers()), admission.admit(headers()):
        with admission.admit(headers(None)):
            with pytest.raises(Shed):
                admission.admit(headers(None))
            with pytest.raises(Shed):
                admission.admit(headers())
        admission.admit(headers(10**6))
    assert notes == [RequestShed("large", "limit"), RequestShed("interactive", "limit")]


def test_a_place_is_given_back_when_the_request_fails_and_only_once(admission: Admission) -> None:
    permit = admission.admit()
    with pytest.raises(ZeroDivisionError), permit:
        raise ZeroDivisionError
    permit.leave()
    assert admission.in_flight == 0


def test_the_wait_for_a_turn_is_the_stage_admit(admission: Admission, clock: ManualClock) -> None:
    follower = Follower()
    permit = admission.admit()
    clock.advance(0.25)
    permit.begin(follower)
    assert permit.watch is follower
    assert follower.seen == [(Stage.ADMIT, 1000.0, 1000.25)]


def test_a_request_that_waited_past_its_deadline_is_not_worked_on(admission: Admission, clock: ManualClock) -> None:
    permit = admission.admit(headers(timeout_ms="20"))
    clock.advance(0.021)
    with pytest.raises(DeadlineExceeded, match="waited for its turn"):
        permit.begin()


def adaptive(clock: ManualClock, notes: Notes) -> Admission:
    interactive, large = GradientLimit(100, clock.monotonic()), GradientLimit(4, clock.monotonic())
    return Admission(interactive, large, deadline_s=1.0, max_deadline_s=10.0, clock=clock, observer=notes)


def test_long_waits_shrink_the_interactive_limit_and_leave_the_other_alone(clock: ManualClock, notes: Notes) -> None:
    admission = adaptive(clock, notes)
    permit = admission.admit()
    clock.advance(4 * WAIT_WANTED_S)
    permit.begin()
    assert (admission.interactive.limit, admission.large.limit) == (32, 4)


def test_time_that_the_store_takes_does_not_shrink_the_interactive_limit(clock: ManualClock, notes: Notes) -> None:
    admission = adaptive(clock, notes)
    for _ in range(20):
        permit = admission.admit()
        permit.begin()
        clock.advance(0.9)
        permit.leave()
    assert admission.interactive.limit == 64


def test_large_requests_that_use_their_budget_up_shrink_their_limit(clock: ManualClock, notes: Notes) -> None:
    admission = adaptive(clock, notes)
    permit = admission.admit(headers(None, "2000"))
    permit.begin()
    clock.advance(2.0 * BUDGET_SHARE_WANTED * 2)
    permit.leave()
    assert (admission.interactive.limit, admission.large.limit) == (64, 2)


def test_who_has_less_time_than_the_others_wait_is_refused_at_once(clock: ManualClock, notes: Notes) -> None:
    admission = adaptive(clock, notes)
    waited = admission.admit()
    clock.advance(0.12)
    waited.begin()
    admission.admit(headers(timeout_ms="150"))
    with pytest.raises(Shed, match="longer for their turn"):
        admission.admit(headers(timeout_ms="100"))
    assert notes == [RequestShed("interactive", "deadline")]


def test_where_nobody_is_in_flight_nobody_waits_any_more(clock: ManualClock, notes: Notes) -> None:
    admission = adaptive(clock, notes)
    waited = admission.admit()
    clock.advance(0.2)
    waited.begin()
    waited.leave()
    assert admission.admit(headers(timeout_ms="80")).deadline.at == pytest.approx(1000.28)


def test_a_large_request_with_a_tight_budget_of_its_own_does_not_shrink_the_limit(
    clock: ManualClock, notes: Notes
) -> None:
    admission = adaptive(clock, notes)
    for _ in range(10):
        permit = admission.admit([(b"content-length", b"20000"), (b"x-request-timeout-ms", b"1")])
        permit.begin()
        clock.advance(0.2)
        permit.leave()
    assert admission.large.limit == 4


def test_a_permit_that_the_server_got_is_used_and_another_is_not_taken(admission: Admission) -> None:
    got = admission.admit(headers())
    scope = {"headers": headers(), "state": {PERMIT: got}}
    assert admitted(scope, admission) is got
    assert admission.in_flight == 1


def test_without_a_server_that_admits_the_request_is_admitted_late(admission: Admission) -> None:
    scope = {"headers": headers(None), "state": {}}
    permit = admitted(scope, admission)
    assert scope["state"] == {PERMIT: permit}
    assert admission.large.in_flight == 1
