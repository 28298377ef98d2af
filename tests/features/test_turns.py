"""Long work in slices, one at a time, and a turn for everybody else after each."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.clock import ManualClock
from features.deadline import Deadline
from features.errors import DeadlineExceeded
from features.turns import CUT, SLICE, Turns

pytestmark = pytest.mark.anyio


async def turns_of_others(work: Callable[[], "asyncio.Future[None]"]) -> int:
    """How many turns everybody else has while `work` is done."""
    done = work()
    count = 0
    while not done.done():
        await asyncio.sleep(0)
        count += 1
    await done
    return count


@given(size=st.integers(0, 60), at_once=st.integers(1, 20))
def test_the_slices_are_the_whole_in_order_and_none_is_too_long(size: int, at_once: int) -> None:
    slices: list[tuple[int, int]] = []
    asyncio.run(Turns().over(size, lambda start, stop: slices.append((start, stop)), at_once=at_once))
    assert [at for start, stop in slices for at in range(start, stop)] == list(range(size))
    assert all(stop - start <= at_once for start, stop in slices)


async def test_what_fits_into_one_slice_is_done_without_a_pause() -> None:
    done: list[tuple[int, int]] = []
    steps = Turns().over(5, lambda start, stop: done.append((start, stop)), at_once=5)
    with pytest.raises(StopIteration):
        steps.send(None)  # the loop is not asked for anything
    assert done == [(0, 5)]


async def test_everybody_else_has_a_turn_after_each_slice() -> None:
    turns = Turns()

    def work() -> "asyncio.Future[None]":
        return asyncio.ensure_future(turns.over(100, lambda _start, _stop: None, at_once=10))

    assert await turns_of_others(work) >= 10


async def test_where_turns_are_long_one_after_each_slice_is_enough(clock: ManualClock) -> None:
    turns = Turns(clock)
    slices = 0

    def work(_start: int, _stop: int) -> None:
        nonlocal slices
        slices += 1

    done = asyncio.ensure_future(turns.over(100, work, at_once=1))
    count = 0
    while not done.done():
        await asyncio.sleep(0)
        clock.advance(0.004)
        count += 1
    assert slices == 100
    assert count < 2 * slices


async def test_only_one_slice_is_done_in_one_turn_however_many_ask() -> None:
    turns = Turns()
    in_this_turn = 0
    most = 0

    def work(_start: int, _stop: int) -> None:
        nonlocal in_this_turn, most
        in_this_turn += 1
        most = max(most, in_this_turn)

    asked = asyncio.gather(*(turns.over(5, work, at_once=1) for _ in range(8)))
    while not asked.done():
        await asyncio.sleep(0)
        in_this_turn = 0
    assert most == 1


async def test_who_waited_longest_has_the_next_slice() -> None:
    turns = Turns()
    order: list[str] = []
    await asyncio.gather(
        *(turns.over(3, lambda _start, _stop, name=name: order.append(name), at_once=1) for name in "abc")
    )
    assert order == list("abcabcabc")


async def test_it_ends_between_two_slices_when_the_deadline_has_passed(clock: ManualClock) -> None:
    done: list[int] = []

    def work(start: int, _stop: int) -> None:
        done.append(start)
        clock.advance(1)

    turns = Turns()
    with pytest.raises(DeadlineExceeded):
        await turns.over(10, work, Deadline.after(2.5, clock), at_once=1)
    assert done == [0, 1, 2]
    assert repr(turns) == "<Turns free>"


async def test_who_is_cancelled_between_two_slices_keeps_nobody_waiting() -> None:
    turns = Turns()
    first = asyncio.ensure_future(turns.over(100, lambda _start, _stop: None, at_once=1))
    second = asyncio.ensure_future(turns.over(100, lambda _start, _stop: None, at_once=1))
    for _ in range(5):
        await asyncio.sleep(0)
    first.cancel()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert repr(turns) == "<Turns free>"


async def test_what_the_work_raises_is_raised_and_the_next_one_goes_on() -> None:
    turns = Turns()

    def work(_start: int, _stop: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await turns.over(2, work, at_once=1)
    assert repr(turns) == "<Turns free>"


async def test_what_does_not_fit_into_one_slice_is_cut_finer() -> None:
    done: list[tuple[int, int]] = []
    await Turns().over(SLICE + 1, lambda start, stop: done.append((start, stop)))
    assert [stop - start for start, stop in done] == [CUT] * (SLICE // CUT) + [1]
