"""Requests begin at most so many in a turn of the loop, here sixteen, in the order of their arrival."""

import asyncio
from functools import partial
from itertools import pairwise

import pytest

from features.clock import ManualClock
from service.turnstile import Turnstile

pytestmark = pytest.mark.anyio


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_idle_loop_makes_nobody_wait() -> None:
    begun: list[int] = []
    turnstile = Turnstile(asyncio.get_running_loop(), ManualClock(), most=16, least=16)
    turnstile.enter(lambda: begun.append(1))
    assert begun == [1]


async def test_a_burst_begins_sixteen_at_a_turn_and_in_order() -> None:
    begun: list[int] = []
    turnstile = Turnstile(asyncio.get_running_loop(), ManualClock(), most=16, least=16)
    for number in range(40):
        turnstile.enter(lambda number=number: begun.append(number))
    assert begun == list(range(16))
    assert repr(turnstile) == "<Turnstile 0 returning, 24 waiting, 16 a turn>"
    seen = []
    for _ in range(3):
        await turns(1)
        seen.append(len(begun))
    assert seen == [32, 40, 40]
    assert begun == list(range(40))


async def test_who_comes_while_others_wait_begins_after_them() -> None:
    begun: list[int] = []
    turnstile = Turnstile(asyncio.get_running_loop(), ManualClock(), most=16, least=16)
    for number in range(20):
        turnstile.enter(lambda number=number: begun.append(number))
    await turns(1)  # four of twenty were left, so there is room in this turn
    turnstile.enter(lambda: begun.append(99))
    assert begun == [*range(20), 99]


async def test_after_a_burst_the_loop_is_left_alone() -> None:
    turnstile = Turnstile(asyncio.get_running_loop(), ManualClock(), most=16, least=16)
    turnstile.enter(lambda: None)
    await turns(3)
    assert not turnstile._scheduled


async def test_who_returns_goes_before_who_has_not_begun_and_tells_how_long_it_waited() -> None:
    clock = ManualClock()
    waits: list[float] = []
    order: list[str] = []
    turnstile = Turnstile(asyncio.get_running_loop(), clock, waits.append, most=16, least=16)
    for number in range(20):
        turnstile.enter(lambda number=number: order.append(f"begins {number}"))

    async def return_() -> None:
        await turnstile.go_on()
        order.append("returns")

    task = asyncio.get_running_loop().create_task(return_())
    clock.advance(0.0)
    assert order[-1] == "begins 15"
    await task
    assert order.index("returns") > order.index("begins 15")
    assert set(order) == {"returns", *(f"begins {number}" for number in range(20))}


async def test_a_crowd_that_returns_at_once_goes_on_sixteen_at_a_turn() -> None:
    clock = ManualClock()
    waits: list[float] = []
    seen: list[int] = []
    turnstile = Turnstile(asyncio.get_running_loop(), clock, waits.append, most=16, least=16)

    async def return_() -> None:
        await turnstile.go_on()
        seen.append(turnstile.turns)

    await asyncio.gather(*(return_() for _ in range(50)))
    assert len(seen) == 50
    assert max(seen.count(turn) for turn in seen) <= 16
    assert len(waits) == 34


async def test_who_is_cancelled_while_it_waits_takes_nobodys_turn() -> None:
    turnstile = Turnstile(asyncio.get_running_loop(), ManualClock(), most=16, least=16)
    tasks = [asyncio.get_running_loop().create_task(turnstile.go_on()) for _ in range(40)]
    await turns(1)
    for task in tasks[16:24]:
        task.cancel()
    await asyncio.gather(*tasks[:16], *tasks[24:])
    assert repr(turnstile) == "<Turnstile 0 returning, 0 waiting, 16 a turn>"
    await turns(3)
    assert not turnstile._scheduled


async def test_a_turn_holds_as_many_as_fit_into_four_milliseconds() -> None:
    clock = ManualClock()
    begun: list[int] = []
    turnstile = Turnstile(asyncio.get_running_loop(), clock, most=64, least=8)

    def begin(seconds: float) -> None:
        begun.append(1)
        clock.advance(seconds)

    async def begun_in_turns(seconds: float) -> list[int]:
        seen = [len(begun)]
        for _ in range(2_000):
            turnstile.enter(partial(begin, seconds))
        while turnstile._scheduled:
            seen.append(len(begun))
            await turns(1)
        return [after - before for before, after in pairwise(seen)]

    quick = await begun_in_turns(0.00001)
    assert quick[0] == 8
    assert quick == sorted(quick[:-1]) + quick[-1:]  # the last turn holds who is left
    assert max(quick) == 64
    medium = await begun_in_turns(0.0002)
    assert medium[0] == 64
    assert medium[-2] == pytest.approx(20, abs=1)
    assert (await begun_in_turns(0.002))[-2] == 8
