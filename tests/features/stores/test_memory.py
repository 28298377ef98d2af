"""The fake store does what it is told, so that a test can believe it. (What any store does: `tests/contracts`.)"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from features.clock import ManualClock
from features.deadline import Deadline
from features.errors import StoreAnswerInvalid, StoreDenied, StoreUnavailable
from features.spec import FeatureView
from features.stores.memory import MemoryStore, Read

pytestmark = pytest.mark.anyio

Settle = Callable[[], Awaitable[None]]


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.put("account", "C1", {"balance": 1.0})
    return store


@pytest.fixture
def deadline(clock: ManualClock) -> Deadline:
    return Deadline.after(1, clock)


async def test_every_read_is_on_record(store: MemoryStore, view: FeatureView, deadline: Deadline) -> None:
    await store.read(view, ["C1", "C2"], deadline)
    assert store.reads == [Read("account", ("C1", "C2"), deadline)]
    assert repr(store) == "<MemoryStore 1 rows, 1 reads, 0 under way>"


async def test_the_next_n_reads_fail_and_then_no_more(
    store: MemoryStore, view: FeatureView, deadline: Deadline
) -> None:
    store.fail(StoreUnavailable("down"), reads=2)
    store.fail(StoreDenied("no"))
    for kind in (StoreUnavailable, StoreUnavailable, StoreDenied):
        with pytest.raises(kind):
            await store.read(view, ["C1"], deadline)
    assert (await store.read(view, ["C1"], deadline))["C1"] is not None


async def test_failures_to_come_can_be_called_off(store: MemoryStore, view: FeatureView, deadline: Deadline) -> None:
    store.fail(StoreUnavailable("down"), reads=9)
    store.heal()
    assert await store.read(view, ["C2"], deadline) == {"C2": None}


async def test_one_key_can_be_spoilt_left_out_or_removed(
    store: MemoryStore, view: FeatureView, deadline: Deadline
) -> None:
    damaged = StoreAnswerInvalid("damaged")
    store.spoil("account", "C2", damaged)
    store.leave_out("account", "C3")
    store.remove("account", "C1")
    store.remove("account", "never there")
    assert await store.read(view, ["C1", "C2", "C3"], deadline) == {"C1": None, "C2": damaged}


async def test_held_reads_hang_until_released_and_answer_what_was_true_when_they_began(
    store: MemoryStore, view: FeatureView, deadline: Deadline, settle: Settle
) -> None:
    store.hold()
    reading = asyncio.create_task(store.read(view, ["C1"], deadline))
    await settle()
    assert not reading.done()
    assert store.under_way == 1
    store.remove("account", "C1")
    store.release()
    assert (await reading)["C1"] is not None
    assert await store.read(view, ["C1"], deadline) == {"C1": None}
    assert store.under_way == 0


async def test_reads_can_be_let_go_in_any_order(
    store: MemoryStore, view: FeatureView, deadline: Deadline, settle: Settle
) -> None:
    gates, reading = [], []
    for _ in range(2):
        gates.append(store.hold())
        reading.append(asyncio.create_task(store.read(view, ["C1"], deadline)))
        await settle()
    gates[1].set()
    await settle()
    assert [task.done() for task in reading] == [False, True]
    store.release()
    await asyncio.gather(*reading)


async def test_a_held_read_that_fails_fails_when_released(
    store: MemoryStore, view: FeatureView, deadline: Deadline, settle: Settle
) -> None:
    store.hold()
    store.fail(StoreUnavailable("down"))
    reading = asyncio.create_task(store.read(view, ["C1"], deadline))
    await settle()
    assert not reading.done()
    store.release()
    with pytest.raises(StoreUnavailable):
        await reading


async def test_a_cancelled_read_is_no_longer_under_way(
    store: MemoryStore, view: FeatureView, deadline: Deadline, settle: Settle
) -> None:
    store.hold()
    reading = asyncio.create_task(store.read(view, ["C1"], deadline))
    await settle()
    reading.cancel()
    await settle()
    assert store.under_way == 0
