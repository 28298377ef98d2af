"""Reads of one view that are asked for in the same turn of the event loop become one read."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clock import ManualClock
from features.deadline import Deadline
from features.errors import StoreTimeout, StoreUnavailable
from features.spec import Entity, FeatureView
from features.stores.base import OnlineStore, ReadAnswer
from features.stores.coalescing import CoalescingStore
from features.stores.memory import MemoryStore
from features.values import Column, DType, EntityKey, FeatureRow, RowLayout

pytestmark = pytest.mark.anyio

Settle = Callable[[], Awaitable[None]]
Answers = Mapping[EntityKey, ReadAnswer]


@pytest.fixture
def memory() -> MemoryStore:
    memory = MemoryStore()
    for number in range(20):
        memory.put("account", f"C{number}", {"visits": number})
    return memory


@pytest.fixture
def store(memory: MemoryStore) -> CoalescingStore:
    return CoalescingStore(memory, max_keys_per_read=4)


class Asker:
    """Asks in tasks of their own."""

    def __init__(self, store: OnlineStore, view: FeatureView, clock: ManualClock) -> None:
        self.store = store
        self.view = view
        self.clock = clock

    def __call__(
        self, *keys: EntityKey, budget_s: float = 1.0, view: FeatureView | None = None
    ) -> "asyncio.Task[Answers]":
        return asyncio.create_task(_read(self.store, view or self.view, keys, Deadline.after(budget_s, self.clock)))


async def _read(store: OnlineStore, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline) -> Answers:
    return await store.read(view, keys, deadline)


@pytest.fixture
def ask(store: CoalescingStore, view: FeatureView, clock: ManualClock) -> Asker:
    return Asker(store, view, clock)


def _visits(answers: Answers, view: FeatureView) -> dict[EntityKey, object]:
    return {
        key: view.layout.value(answer, 1) if isinstance(answer, FeatureRow) else answer
        for key, answer in answers.items()
    }


def _keys_read(memory: MemoryStore) -> list[tuple[EntityKey, ...]]:
    return [read.keys for read in memory.reads]


async def test_reads_of_one_turn_become_one_read_of_the_distinct_keys(
    ask: Asker, memory: MemoryStore, view: FeatureView
) -> None:
    one, other, third = ask("C1", "C2"), ask("C2", "C3"), ask("nobody")
    answers = await asyncio.gather(one, other, third)
    assert _keys_read(memory) == [("C1", "C2", "C3", "nobody")]
    assert [_visits(answer, view) for answer in answers] == [{"C1": 1, "C2": 2}, {"C2": 2, "C3": 3}, {"nobody": None}]


async def test_reads_of_another_turn_or_another_view_are_reads_of_their_own(
    ask: Asker, memory: MemoryStore, view: FeatureView
) -> None:
    other = dataclasses.replace(view, name="other")
    await asyncio.gather(ask("C1"), ask("C1", view=other))
    await ask("C1")
    assert [(read.view, read.keys) for read in memory.reads] == [
        ("account", ("C1",)),
        ("other", ("C1",)),
        ("account", ("C1",)),
    ]


async def test_two_views_of_one_name_are_not_merged(ask: Asker, memory: MemoryStore, view: FeatureView) -> None:
    await asyncio.gather(ask("C1"), ask("C1", view=dataclasses.replace(view)))
    assert len(memory.reads) == 2


async def test_a_read_waits_for_no_timer(ask: Asker, memory: MemoryStore) -> None:
    task = ask("C1")
    for _ in range(3):  # the asker, the flush, the read
        await asyncio.sleep(0)
    assert len(memory.reads) == 1
    await task


async def test_more_keys_than_the_maximum_are_read_in_parts_side_by_side(
    ask: Asker, memory: MemoryStore, view: FeatureView, settle: Settle
) -> None:
    gate = memory.hold()
    tasks = ask("C1", "C2", "C3"), ask("C4", "C5", "C6"), ask("C7", "C8", "C9")
    await settle()
    assert _keys_read(memory) == [("C1", "C2", "C3", "C4"), ("C5", "C6", "C7", "C8"), ("C9",)]
    assert memory.under_way == 3
    gate.set()
    answers = await asyncio.gather(*tasks)
    assert [list(_visits(answer, view).values()) for answer in answers] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


async def test_a_merged_read_has_the_latest_deadline_of_its_askers(ask: Asker, memory: MemoryStore) -> None:
    await asyncio.gather(ask("C1", budget_s=1), ask("C2", budget_s=3), ask("C3", budget_s=2))
    assert [read.deadline.at for read in memory.reads] == [1_003.0]


async def test_each_part_has_the_latest_deadline_of_those_who_want_its_keys(ask: Asker, memory: MemoryStore) -> None:
    await asyncio.gather(ask("C1", "C2", "C3", "C4", budget_s=1), ask("C5", budget_s=3))
    assert [read.deadline.at for read in memory.reads] == [1_001.0, 1_003.0]


async def test_a_failure_is_shared_by_those_who_asked_and_by_nobody_else(ask: Asker, memory: MemoryStore) -> None:
    memory.fail(StoreUnavailable("down"))
    outcomes = await asyncio.gather(ask("C1"), ask("C2"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 2
    assert await ask("C1")


async def test_if_one_part_fails_its_keys_are_answered_by_the_error_and_the_others_by_rows(
    ask: Asker, memory: MemoryStore, view: FeatureView
) -> None:
    error = StoreUnavailable("down")
    memory.fail(error)
    both, second = ask(*(f"C{number}" for number in range(6))), ask("C5")
    assert _visits(await both, view) == {"C0": error, "C1": error, "C2": error, "C3": error, "C4": 4, "C5": 5}
    assert _visits(await second, view) == {"C5": 5}


async def test_if_all_parts_fail_the_first_failure_is_raised(ask: Asker, memory: MemoryStore) -> None:
    memory.fail(StoreTimeout("slow"))
    memory.fail(StoreUnavailable("down"))
    with pytest.raises(StoreTimeout):
        await ask(*(f"C{number}" for number in range(6)))


async def test_a_programming_error_is_nobodys_outage(view: FeatureView, clock: ManualClock) -> None:
    class Broken(MemoryStore):
        async def read(self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline) -> Answers:
            if "C1" in keys:
                raise ZeroDivisionError
            return await super().read(view, keys, deadline)

    ask = Asker(CoalescingStore(Broken(), max_keys_per_read=1), view, clock)
    with pytest.raises(ZeroDivisionError):
        await ask("C0", "C1")


async def test_a_key_that_the_store_leaves_out_stays_left_out(ask: Asker, memory: MemoryStore) -> None:
    memory.leave_out("account", "C1")
    one, other = await asyncio.gather(ask("C1"), ask("C2"))
    assert (set(one), set(other)) == (set(), {"C2"})


async def test_an_asker_that_goes_away_leaves_the_others_alone(
    ask: Asker, memory: MemoryStore, view: FeatureView, settle: Settle
) -> None:
    gate = memory.hold()
    one, other = ask("C1"), ask("C2")
    await settle()
    one.cancel()
    await settle()
    assert one.cancelled()
    gate.set()
    assert _visits(await other, view) == {"C2": 2}


async def test_when_the_last_asker_has_gone_the_read_is_ended(
    ask: Asker, memory: MemoryStore, store: CoalescingStore, settle: Settle
) -> None:
    memory.hold()
    one, other = ask("C1"), ask("C2")
    await settle()
    assert repr(store) == f"<CoalescingStore 1 reads under way, of {memory!r}>"
    one.cancel()
    await settle()
    assert memory.under_way == 1
    other.cancel()
    await settle()
    assert memory.under_way == 0
    assert repr(store) == f"<CoalescingStore 0 reads under way, of {memory!r}>"


async def test_who_goes_away_within_the_turn_is_not_read_for(ask: Asker, memory: MemoryStore) -> None:
    one, other = ask("C1"), ask("C2")
    await asyncio.sleep(0)  # both have asked
    one.cancel()
    await other
    assert _keys_read(memory) == [("C2",)]


async def test_if_all_go_away_within_the_turn_nothing_is_read(ask: Asker, memory: MemoryStore, settle: Settle) -> None:
    task = ask("C1")
    await asyncio.sleep(0)
    task.cancel()
    await settle()
    assert memory.reads == []


async def test_who_is_cancelled_when_the_failure_arrives_leaves_no_warning(
    ask: Asker, memory: MemoryStore, settle: Settle
) -> None:
    gate = memory.hold()
    memory.fail(StoreUnavailable("down"))
    task = ask("C1")
    await settle()
    gate.set()
    for _ in range(2):  # the read fails, its failure is handed over; the asker learns of it in the turn after that
        await asyncio.sleep(0)
    task.cancel()
    await settle()
    assert task.cancelled()


async def test_closing_ends_what_is_asked_and_what_is_under_way(
    ask: Asker, memory: MemoryStore, store: CoalescingStore, settle: Settle
) -> None:
    tasks = asyncio.all_tasks()
    memory.hold()
    under_way = ask("C1")
    await settle()
    asked = ask("C2")
    await asyncio.sleep(0)
    await store.aclose()
    outcomes = await asyncio.gather(under_way, asked, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 2
    await settle()
    assert (memory.under_way, len(memory.reads)) == (0, 1)
    assert asyncio.all_tasks() == tasks


async def test_who_has_gone_when_the_store_closes_is_not_told(
    ask: Asker, store: CoalescingStore, settle: Settle
) -> None:
    await store.open()
    task = ask("C1")
    await asyncio.sleep(0)
    task.cancel()
    await store.aclose()
    await settle()
    assert task.cancelled()


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 19), min_size=1, max_size=8, unique=True), min_size=1, max_size=8),
    st.integers(1, 10),
)
def test_whatever_is_asked_each_asker_gets_its_keys_and_no_key_is_read_twice(
    asks: list[list[int]], maximum: int
) -> None:
    async def play() -> None:
        memory, clock = MemoryStore(), ManualClock()
        for number in range(0, 20, 2):
            memory.put("account", f"C{number}", {"visits": number})
        view = FeatureView("account", Entity("customer", ()), RowLayout((Column("visits", DType.INT),)))
        ask = Asker(CoalescingStore(memory, max_keys_per_read=maximum), view, clock)
        answers = await asyncio.gather(*(ask(*(f"C{number}" for number in numbers)) for numbers in asks))
        for numbers, answer in zip(asks, answers, strict=True):
            rows = {f"C{n}": None if n % 2 else view.layout.pack({"visits": n}, None) for n in numbers}
            assert answer == rows
        read = [key for keys in _keys_read(memory) for key in keys]
        assert sorted(read) == sorted({f"C{number}" for numbers in asks for number in numbers})
        assert all(len(keys) <= maximum for keys in _keys_read(memory))

    asyncio.run(play())
