"""Calls are made in order, in a thread that keeps nobody from ending."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from features.stores.own_thread import OwnThread

pytestmark = pytest.mark.anyio


@pytest.fixture
async def thread() -> AsyncIterator[OwnThread]:
    thread = OwnThread("own")
    yield thread
    thread.end()


async def test_calls_are_made_one_after_the_other_in_one_daemon_thread(thread: OwnThread) -> None:
    made: list[int] = []

    def call(number: int) -> threading.Thread:
        made.append(number)
        return threading.current_thread()

    workers = await asyncio.gather(*(thread.run(call, number) for number in range(100)))
    assert made == list(range(100))
    assert len(set(workers)) == 1
    assert workers[0].daemon
    assert workers[0] is not threading.current_thread()


async def test_what_a_call_raises_reaches_its_caller_and_the_next_one_is_made(thread: OwnThread) -> None:
    with pytest.raises(ZeroDivisionError):
        await thread.run(divmod, 1, 0)
    assert await thread.run(divmod, 7, 2) == (3, 1)


async def test_a_call_that_nobody_waits_for_any_more_is_not_made(thread: OwnThread) -> None:
    gate, made = threading.Event(), threading.Event()
    first = asyncio.create_task(thread.run(gate.wait))
    second = asyncio.create_task(thread.run(made.set))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    gate.set()
    assert await first
    assert await thread.run(made.is_set) is False


async def test_who_went_away_while_the_call_was_made_misses_its_outcome(thread: OwnThread) -> None:
    gate = threading.Event()
    asked = asyncio.create_task(thread.run(gate.wait))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    gate.set()
    assert await thread.run(len, "abc") == 3


def test_a_loop_that_has_closed_is_no_harm_to_the_next() -> None:
    thread, gate = OwnThread("own"), threading.Event()

    async def leave() -> None:
        asked = asyncio.create_task(thread.run(gate.wait))
        await asyncio.sleep(0)
        asked.cancel()

    asyncio.run(leave())
    gate.set()
    assert asyncio.run(thread.run(len, "ab")) == 2
    thread.end()


async def test_when_it_has_ended_it_takes_no_more_calls() -> None:
    thread = OwnThread("own")
    assert repr(thread) == "<OwnThread 'own' 0 calls waiting>"
    thread.end()
    assert repr(thread) == "<OwnThread 'own' ended>"
    with pytest.raises(RuntimeError, match="own has ended"):
        await thread.run(len, "")
