"""A bounded number of calls in flight, first come first served, and no wait beyond the deadline."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clock import ManualClock
from features.deadline import Deadline
from features.errors import DeadlineExceeded
from features.resilience.bulkhead import Bulkhead, BulkheadFull

pytestmark = pytest.mark.anyio

Settle = Callable[[], Awaitable[None]]


class Crowd:
    """People who take a place, stay until they are told to go, and are written down in the order in which they came."""

    def __init__(self, bulkhead: Bulkhead, clock: ManualClock) -> None:
        self.bulkhead = bulkhead
        self.clock = clock
        self.entered: list[int] = []
        self.inside = 0
        self.doors: dict[int, asyncio.Event] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def come(self, name: int, budget_s: float = 60.0) -> "asyncio.Task[None]":
        self.doors[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name, Deadline.after(budget_s, self.clock)))
        return self.tasks[name]

    async def _stay(self, name: int, deadline: Deadline) -> None:
        async with self.bulkhead.place(deadline):
            self.entered.append(name)
            self.inside += 1
            try:
                await self.doors[name].wait()
            finally:
                self.inside -= 1


@pytest.fixture
def crowd(clock: ManualClock) -> Crowd:
    return Crowd(Bulkhead(clock, max_in_flight=2, max_waiting=2), clock)


async def test_places_are_given_in_the_order_of_arrival(crowd: Crowd, settle: Settle) -> None:
    for name in range(4):
        crowd.come(name)
    await settle()
    assert crowd.entered == [0, 1]
    assert repr(crowd.bulkhead) == "<Bulkhead 2 of 2 in flight, 2 of 2 waiting>"
    for name in range(4):
        crowd.doors[name].set()
        await settle()
    assert crowd.entered == [0, 1, 2, 3]
    assert repr(crowd.bulkhead) == "<Bulkhead 0 of 2 in flight, 0 of 2 waiting>"


async def test_who_finds_the_queue_full_is_refused_at_once(crowd: Crowd, settle: Settle) -> None:
    for name in range(5):
        crowd.come(name)
    await settle()
    assert isinstance(crowd.tasks[4].exception(), BulkheadFull)
    assert crowd.entered == [0, 1]


async def test_nobody_overtakes_a_waiter_to_whom_a_place_was_handed(crowd: Crowd, settle: Settle) -> None:
    for name in range(3):
        crowd.come(name)
    await settle()
    crowd.doors[0].set()
    await asyncio.sleep(0)  # 0 has left, 2 has been handed the place but has not run yet
    crowd.come(3)
    await settle()
    assert crowd.entered == [0, 1, 2]


async def test_a_waiter_gives_up_at_its_deadline_and_leaves_the_queue(crowd: Crowd, settle: Settle) -> None:
    crowd.come(0)
    crowd.come(1)
    hasty = crowd.come(2, budget_s=0.5)
    crowd.come(3)
    await settle()
    crowd.clock.advance(0.5)
    await settle()
    assert isinstance(hasty.exception(), DeadlineExceeded)
    crowd.doors[0].set()
    await settle()
    assert crowd.entered == [0, 1, 3]


async def test_a_place_that_comes_after_the_deadline_goes_to_the_next(crowd: Crowd, settle: Settle) -> None:
    crowd.come(0)
    crowd.come(1)
    hasty = crowd.come(2, budget_s=0.5)
    crowd.come(3)
    await settle()
    crowd.doors[0].set()
    await asyncio.sleep(0)  # handed over
    crowd.clock.advance(0.5)
    await settle()
    assert isinstance(hasty.exception(), DeadlineExceeded)
    assert crowd.entered == [0, 1, 3]


@pytest.mark.parametrize("when", ["waiting", "handed over"])
async def test_a_cancelled_waiter_takes_no_place_with_it(crowd: Crowd, settle: Settle, when: str) -> None:
    for name in range(4):
        crowd.come(name)
    await settle()
    if when == "handed over":
        crowd.doors[0].set()
        await asyncio.sleep(0)
    crowd.tasks[2].cancel()
    crowd.doors[0].set()
    await settle()
    assert crowd.tasks[2].cancelled()
    assert crowd.entered == [0, 1, 3]
    crowd.doors[1].set()
    crowd.doors[3].set()
    await settle()
    assert crowd.bulkhead.free == 2


async def test_a_place_is_given_back_when_its_call_fails_or_is_cancelled(clock: ManualClock, settle: Settle) -> None:
    crowd = Crowd(Bulkhead(clock, max_in_flight=1, max_waiting=0), clock)
    with pytest.raises(ZeroDivisionError):
        async with crowd.bulkhead.place(Deadline.after(1, clock)):
            raise ZeroDivisionError
    task = crowd.come(0)
    await settle()
    assert crowd.bulkhead.free == 0
    task.cancel()
    await settle()
    assert crowd.bulkhead.free == 1


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(["come", "leave", "cancel", "time", "turn"]), st.integers(0, 9)), max_size=60)
)
def test_whatever_happens_the_cap_holds_and_every_place_comes_back(steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        clock = ManualClock()
        crowd = Crowd(Bulkhead(clock, max_in_flight=3, max_waiting=4), clock)
        for number, (what, n) in enumerate(steps):
            names = list(crowd.tasks)
            if what == "come":
                crowd.come(number, budget_s=n / 2)
            elif what == "time":
                clock.advance(n / 4)
            elif what == "turn":
                await asyncio.sleep(0)
            elif names:
                name = names[n % len(names)]
                crowd.doors[name].set() if what == "leave" else crowd.tasks[name].cancel()
            assert crowd.inside <= 3
            assert 0 <= crowd.bulkhead.free <= 3
        for door in crowd.doors.values():
            door.set()
        outcomes = await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)
        allowed = (type(None), asyncio.CancelledError, BulkheadFull, DeadlineExceeded)
        assert all(isinstance(outcome, allowed) for outcome in outcomes)
        assert repr(crowd.bulkhead) == "<Bulkhead 0 of 3 in flight, 0 of 4 waiting>"

    asyncio.run(play())
