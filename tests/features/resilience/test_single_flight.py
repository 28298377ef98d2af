"""A key that is being fetched is not fetched again by those who would be content with that fetch."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from features.clock import ManualClock
from features.resilience.single_flight import Flight, SingleFlight

pytestmark = pytest.mark.anyio

Settle = Callable[[], Awaitable[None]]


class Calls:
    """Calls that hang until they are let go; knows when each began."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.go = asyncio.Event()
        self.failure: Exception | None = None
        self.cancelled = 0

    async def __call__(self, began_at: float) -> Mapping[str, int]:
        self.began.append(began_at)
        number = len(self.began)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            raise self.failure
        return {"A": number, "B": number}


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def flights(clock: ManualClock) -> SingleFlight[str, int]:
    return SingleFlight(clock)


def _board(flights: SingleFlight[str, int], calls: Calls, since: float | None = None) -> Flight[str, int]:
    return flights.join("A", since) or flights.launch(["A"], calls, 5.0)


@pytest.mark.parametrize("_repeat", range(20))
async def test_a_thousand_waiters_for_one_cold_key_make_one_call(
    flights: SingleFlight[str, int], calls: Calls, clock: ManualClock, _repeat: int
) -> None:
    async def wait() -> int:
        flight = _board(flights, calls)
        await clock.wait([flight.task], clock.monotonic() + 60)
        return flight.task.result()["A"]

    waiters = [asyncio.create_task(wait()) for _ in range(1_000)]
    await asyncio.sleep(0)
    calls.go.set()
    assert await asyncio.gather(*waiters) == [1] * 1_000
    assert calls.began == [1_000.0]


async def test_a_flight_brings_all_its_keys_and_is_forgotten_when_it_lands(
    flights: SingleFlight[str, int], calls: Calls
) -> None:
    flight = flights.launch(["A", "B"], calls, 5.0)
    assert flights.join("A", None) is flight
    assert flights.join("B", None) is flight
    assert flights.join("C", None) is None
    assert (flight.began_at, flight.ends_at) == (1_000.0, 1_005.0)
    assert repr(flights) == "<SingleFlight 1 flights for 2 keys>"
    calls.go.set()
    assert await flight.task == {"A": 1, "B": 1}
    assert flights.join("A", None) is None
    assert repr(flights) == "<SingleFlight 0 flights for 0 keys>"


async def test_a_waiter_that_is_cancelled_leaves_the_flight_to_the_others(
    flights: SingleFlight[str, int], calls: Calls, clock: ManualClock, settle: Settle
) -> None:
    flight = _board(flights, calls)
    leader, follower = (asyncio.create_task(clock.wait([flight.task], 2_000.0)) for _ in range(2))
    await settle()
    leader.cancel()
    await settle()
    assert leader.cancelled()
    assert not flight.task.done()
    calls.go.set()
    await follower
    assert flight.task.result() == {"A": 1, "B": 1}


async def test_a_flight_that_everybody_left_lands_all_the_same(
    flights: SingleFlight[str, int], calls: Calls, clock: ManualClock, settle: Settle
) -> None:
    flight = _board(flights, calls)
    waiting = asyncio.create_task(clock.wait([flight.task], 2_000.0))
    await settle()
    waiting.cancel()
    calls.go.set()
    await settle()
    assert flight.task.result()["A"] == 1


async def test_a_failure_is_shared_by_those_who_waited_and_remembered_by_nobody(
    flights: SingleFlight[str, int], calls: Calls, settle: Settle
) -> None:
    calls.failure = RuntimeError("down")
    first, second = _board(flights, calls), _board(flights, calls)
    assert first is second
    calls.go.set()
    await settle()
    assert first.task.exception() is calls.failure
    assert flights.join("A", None) is None


async def test_a_failure_that_nobody_waits_for_is_silent(
    flights: SingleFlight[str, int], calls: Calls, settle: Settle
) -> None:
    """The test runner fails on an exception that was never retrieved."""
    calls.failure = RuntimeError("down")
    calls.go.set()
    _board(flights, calls)
    await settle()
    assert calls.began == [1_000.0]


async def test_a_flight_that_began_before_the_bound_is_not_joined(
    flights: SingleFlight[str, int], calls: Calls, clock: ManualClock, settle: Settle
) -> None:
    early = _board(flights, calls)
    clock.advance(1)
    assert flights.join("A", 1_000.0) is early
    assert flights.join("A", 1_000.5) is None
    late = _board(flights, calls, since=1_000.5)
    assert late is not early
    assert flights.join("A", None) is late
    await settle()
    assert calls.began == [1_000.0, 1_001.0]
    calls.go.set()
    await settle()
    assert (early.task.result()["A"], late.task.result()["A"]) == (1, 2)


async def test_who_is_in_a_hurry_joins_no_slow_flight(
    flights: SingleFlight[str, int], calls: Calls, settle: Settle
) -> None:
    slow, quick = flights.launch(["A"], calls, 5.0, slow=True), flights.launch(["B"], calls, 5.0)
    assert flights.join("A", None) is slow
    assert flights.join("A", None, hurried=True) is None
    assert flights.join("B", None, hurried=True) is quick
    calls.go.set()
    await settle()


async def test_an_earlier_flight_that_lands_does_not_hide_the_later_one(
    flights: SingleFlight[str, int], clock: ManualClock, settle: Settle
) -> None:
    first, second = Calls(), Calls()
    flights.launch(["A", "B"], first, 5.0)
    clock.advance(1)
    later = flights.launch(["A"], second, 5.0)
    first.go.set()
    await settle()
    assert flights.join("A", None) is later
    assert flights.join("B", None) is None
    second.go.set()
    await settle()
    assert flights.join("A", None) is None


async def test_a_flight_past_its_own_time_is_waited_for_but_not_joined(
    flights: SingleFlight[str, int], calls: Calls, clock: ManualClock, settle: Settle
) -> None:
    flight = _board(flights, calls)
    clock.advance(4.999)
    assert flights.join("A", None) is flight
    clock.advance(0.001)
    assert flights.join("A", None) is None
    calls.go.set()
    await settle()
    assert flight.task.result()["A"] == 1


async def test_closing_ends_every_flight_and_leaves_no_task(
    flights: SingleFlight[str, int], calls: Calls, settle: Settle
) -> None:
    first = flights.launch(["A"], calls, 5.0)
    second = flights.launch(["A", "B"], calls, 5.0)
    await settle()
    before = asyncio.all_tasks()
    assert {first.task, second.task} <= before
    await flights.aclose()
    assert first.task.cancelled()
    assert second.task.cancelled()
    assert calls.cancelled == 2
    assert asyncio.all_tasks() == {asyncio.current_task()} | (before - {first.task, second.task})
    assert flights.join("A", None) is None


async def test_a_flight_can_be_ended_before_it_has_taken_off(flights: SingleFlight[str, int], calls: Calls) -> None:
    flight = flights.launch(["A"], calls, 5.0)
    await flights.aclose()
    assert flight.task.cancelled()
    assert calls.began == []


async def test_closing_with_nothing_in_the_air_is_nothing(flights: SingleFlight[str, int]) -> None:
    await flights.aclose()
    await flights.aclose()
