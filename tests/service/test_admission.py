"""A request gets a permit and a deadline, or is refused at once."""

import pytest

from features.clock import ManualClock
from features.events import Event
from service.admission import Admission, FixedLimit
from service.errors import Shed
from service.events import RequestShed


class Notes(list[Event]):
    """An observer that writes everything down."""

    def observe(self, event: Event, /) -> None:
        self.append(event)


def test_a_permit_carries_arrival_and_deadline(clock: ManualClock) -> None:
    permit = Admission(FixedLimit(1), 0.5, clock, Notes()).admit()
    assert (permit.arrived, permit.deadline.at) == (1000.0, 1000.5)


def test_one_request_more_than_the_limit_is_shed_and_told_of(clock: ManualClock) -> None:
    notes = Notes()
    admission = Admission(FixedLimit(2), 1.0, clock, notes)
    with admission.admit(), admission.admit():
        assert repr(admission) == "<Admission 2/2 in flight>"
        with pytest.raises(Shed, match="try again a little later"):
            admission.admit()
    assert notes == [RequestShed()]
    assert admission.in_flight == 0


def test_a_place_is_given_back_when_the_request_fails(clock: ManualClock) -> None:
    admission = Admission(FixedLimit(1), 1.0, clock, Notes())
    with pytest.raises(ZeroDivisionError), admission.admit():
        raise ZeroDivisionError
    with admission.admit():
        assert admission.in_flight == 1
