"""Requests begin at most sixteen in a turn of the loop, in the order of their arrival."""

import asyncio

import pytest

from service.turnstile import Turnstile

pytestmark = pytest.mark.anyio


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_idle_loop_makes_nobody_wait() -> None:
    begun: list[int] = []
    turnstile = Turnstile(asyncio.get_running_loop())
    turnstile.enter(lambda: begun.append(1))
    assert begun == [1]


async def test_a_burst_begins_sixteen_at_a_turn_and_in_order() -> None:
    begun: list[int] = []
    turnstile = Turnstile(asyncio.get_running_loop())
    for number in range(40):
        turnstile.enter(lambda number=number: begun.append(number))
    assert begun == list(range(16))
    assert repr(turnstile) == "<Turnstile 24 waiting>"
    seen = []
    for _ in range(3):
        await turns(1)
        seen.append(len(begun))
    assert seen == [32, 40, 40]
    assert begun == list(range(40))


async def test_who_comes_while_others_wait_begins_after_them() -> None:
    begun: list[int] = []
    turnstile = Turnstile(asyncio.get_running_loop())
    for number in range(20):
        turnstile.enter(lambda number=number: begun.append(number))
    await turns(1)  # four of twenty were left, so there is room in this turn
    turnstile.enter(lambda: begun.append(99))
    assert begun == [*range(20), 99]


async def test_after_a_burst_the_loop_is_left_alone() -> None:
    turnstile = Turnstile(asyncio.get_running_loop())
    turnstile.enter(lambda: None)
    await turns(3)
    assert not turnstile._scheduled
