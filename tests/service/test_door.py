"""The door looks at every connection and gives up those that are overdue, each by its own measure."""

import asyncio
from dataclasses import dataclass, field

import pytest

from features.clock import ManualClock
from features.events import Event
from service.admission import Admission
from service.door import Door
from service.limits import FixedLimit
from service.turnstile import Turnstile

pytestmark = pytest.mark.anyio


class Wire(asyncio.Transport):
    aborted = False

    def abort(self) -> None:
        self.aborted = True


@dataclass(eq=False)
class Waiting:
    """A connection that remembers what the door did to it."""

    awaits: str
    since: float
    unread: float = 0.0
    given_up: int = 0
    called: int = 0
    transport: Wire = field(default_factory=Wire)

    def give_up(self) -> None:
        self.given_up += 1

    def unread_s(self, now: float) -> float:  # noqa: ARG002  # the protocol's signature
        return self.unread

    def last_call(self) -> None:
        self.called += 1


class Nobody:
    def observe(self, event: Event, /) -> None:
        pass


@pytest.fixture
async def door(clock: ManualClock) -> Door:
    limit = FixedLimit(1)
    admission = Admission(limit, limit, deadline_s=1.0, max_deadline_s=10.0, clock=clock, observer=Nobody())
    turnstile = Turnstile(asyncio.get_running_loop(), clock)
    paths = ["/predict", "/v1:p"]
    return Door(admission, clock, Nobody(), turnstile, paths=paths, receive_timeout_s=5.0, keep_alive_s=600.0)


@pytest.mark.parametrize(
    ("awaits", "patience_s"), [("start", 5.0), ("head", 5.0), ("body", 5.0), ("nothing", 600.0), ("end", 2.0)]
)
async def test_each_wait_has_a_patience_of_its_own(
    door: Door, clock: ManualClock, awaits: str, patience_s: float
) -> None:
    waiting = Waiting(awaits, clock.monotonic())
    door.connections.add(waiting)
    clock.advance(patience_s)
    door.sweep()
    assert not waiting.given_up
    clock.advance(0.1)
    door.sweep()
    assert waiting.given_up == 1


async def test_who_waits_for_us_is_never_given_up(door: Door, clock: ManualClock) -> None:
    waiting = Waiting("answer", clock.monotonic())
    door.connections.add(waiting)
    clock.advance(1e6)
    door.sweep()
    assert not waiting.given_up
    assert not waiting.transport.aborted


async def test_who_reads_nothing_of_an_answer_is_cut_off(door: Door, clock: ManualClock) -> None:
    reads, does_not = Waiting("answer", clock.monotonic(), 5.0), Waiting("answer", clock.monotonic(), 5.1)
    door.connections.update((reads, does_not))
    door.sweep()
    assert (reads.transport.aborted, does_not.transport.aborted) == (False, True)


async def test_a_connection_may_end_while_others_are_looked_at(door: Door, clock: ManualClock) -> None:
    waiting = [Waiting("head", clock.monotonic() - 6) for _ in range(3)]
    for one in waiting:
        one.give_up = door.connections.clear  # type: ignore[method-assign]  # as if all of them hung up together
    door.connections.update(waiting)
    door.sweep()
    assert not door.connections


async def test_draining_is_said_to_every_connection(door: Door, clock: ManualClock) -> None:
    waiting = Waiting("answer", clock.monotonic())
    door.connections.add(waiting)
    door.drain()
    assert door.draining
    assert waiting.called == 1


async def test_routes_are_known_as_they_are_written_on_the_wire(door: Door) -> None:
    assert door.routes == {b"/predict": "/predict", b"/v1:p": "/v1:p"}
