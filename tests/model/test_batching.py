"""What waits at the same moment is worked on together, and nobody's trouble is anybody else's."""

import asyncio
from collections.abc import Sequence

import pytest

from model.batching import Batcher

pytestmark = pytest.mark.anyio


class Doubling:
    """Doubles numbers, and writes down what it was given together; it does not like some."""

    def __init__(self, *disliked: int) -> None:
        self.calls: list[list[int]] = []
        self.disliked = disliked

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.calls.append(list(numbers))
        for number in numbers:
            if number in self.disliked:
                raise ValueError(number)
        return [2 * number for number in numbers]


@pytest.fixture
def doubling() -> Doubling:
    return Doubling()


async def test_all_who_come_in_one_turn_are_worked_on_in_one_call_in_their_order(doubling: Doubling) -> None:
    batcher = Batcher(doubling)
    assert await asyncio.gather(*map(batcher.submit, range(20))) == [2 * number for number in range(20)]
    assert doubling.calls == [list(range(20))]


async def test_a_lone_item_waits_for_one_turn_and_for_no_timer(doubling: Doubling) -> None:
    asked = asyncio.ensure_future(Batcher(doubling).submit(1))
    await asyncio.sleep(0)  # it is submitted
    assert doubling.calls == []
    await asyncio.sleep(0)
    assert doubling.calls == [[1]]
    await asyncio.sleep(0)
    assert asked.result() == 2


async def in_turn(doubling: Doubling, batcher: Batcher[int, int], *comers: int) -> list[int]:
    """So many come in one turn after the other; how many calls there had been at the end of each turn."""
    asked: list[asyncio.Future[int]] = []
    calls = []
    for number in comers:
        asked += [asyncio.ensure_future(batcher.submit(1)) for _ in range(number)]
        await asyncio.sleep(0)
        calls.append(len(doubling.calls))
    await asyncio.gather(*asked)
    return calls


@pytest.mark.parametrize(
    ("comers", "calls", "together"),
    [
        ((1, 1, 0), [0, 1, 2], [1, 1]),  # nobody but the first had come when it was worked on
        ((2, 0, 0), [0, 0, 1], [2]),
        ((2, 1, 0, 0), [0, 0, 0, 1], [3]),
        ((2, 1, 1, 1, 0), [0, 0, 0, 1, 2], [4, 1]),
    ],
)
async def test_those_who_wait_leave_two_turns_for_others_as_long_as_others_come(
    comers: tuple[int, ...], calls: list[int], together: list[int], doubling: Doubling
) -> None:
    assert await in_turn(doubling, Batcher(doubling), *comers) == calls
    assert [len(one) for one in doubling.calls] == together


async def test_each_call_is_waited_for_anew(doubling: Doubling) -> None:
    batcher = Batcher(doubling)
    for _ in range(3):
        await in_turn(doubling, batcher, 2, 1, 1)
    assert [len(one) for one in doubling.calls] == [4, 4, 4]


@pytest.mark.parametrize(("rows", "turns"), [(31, 2), (32, 1), (500, 1)])
async def test_with_64_rows_nobody_else_is_waited_for(rows: int, turns: int, doubling: Doubling) -> None:
    batcher = Batcher(doubling)
    asked = asyncio.gather(batcher.submit(1, rows), batcher.submit(2, rows))
    await asyncio.sleep(0)  # they are submitted
    for _ in range(turns):
        assert doubling.calls == []
        await asyncio.sleep(0)
    assert doubling.calls == [[1, 2]]
    await asked


async def test_no_call_has_more_rows_than_allowed_and_all_who_wait_are_worked_on_in_one_turn() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling, most=100)
    asked = asyncio.gather(*(batcher.submit(number, rows) for number, rows in enumerate((40, 60, 10, 90, 30, 30, 3))))
    await asyncio.sleep(0)
    assert repr(batcher) == "<Batcher 7 waiting>"
    await asyncio.sleep(0)
    assert doubling.calls == [[0, 1], [2, 3], [4, 5, 6]]
    assert await asked == [0, 2, 4, 6, 8, 10, 12]


async def test_an_item_of_more_rows_than_allowed_is_worked_on_alone(doubling: Doubling) -> None:
    batcher = Batcher(doubling, most=10)
    assert await asyncio.gather(batcher.submit(1, 5), batcher.submit(2, 50), batcher.submit(3, 5)) == [2, 4, 6]
    assert doubling.calls == [[1], [2], [3]]


async def test_who_is_cancelled_while_waiting_is_left_out_and_takes_nobody_along(doubling: Doubling) -> None:
    batcher = Batcher(doubling)
    first, second, third = (asyncio.ensure_future(batcher.submit(number)) for number in (1, 2, 3))
    await asyncio.sleep(0)
    second.cancel()
    assert (await first, await third) == (2, 6)
    assert second.cancelled()
    assert doubling.calls == [[1, 3]]


async def test_when_all_are_cancelled_nothing_is_done(doubling: Doubling) -> None:
    batcher = Batcher(doubling)
    asked = [asyncio.ensure_future(batcher.submit(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert doubling.calls == []
    assert await batcher.submit(3) == 6


async def test_one_that_fails_fails_alone() -> None:
    doubling = Doubling(2)
    batcher = Batcher(doubling)
    found = await asyncio.gather(*map(batcher.submit, (1, 2, 3)), return_exceptions=True)
    assert (found[0], repr(found[1]), found[2]) == (2, "ValueError(2)", 6)
    assert doubling.calls == [[1, 2, 3], [1], [2], [3]]


async def test_who_comes_while_others_are_worked_on_is_in_the_next_call(doubling: Doubling) -> None:
    batcher = Batcher(doubling)

    async def again() -> list[int]:
        return [await batcher.submit(1), await batcher.submit(2)]

    await asyncio.gather(again(), batcher.submit(7))
    assert doubling.calls == [[1, 7], [2]]
