"""More keys than fit into one slice: the same answers, and still one read of the distinct missing ones."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain

import pytest

from features.clock import ManualClock
from features.deadline import Deadline
from features.errors import DeadlineExceeded, StoreError, StoreUnavailable
from features.events import Event
from features.freshness import Bounds
from features.planning import Lookup
from features.retrieval import Retrieval
from features.spec import FeatureView
from features.stores.memory import MemoryStore
from features.turns import SLICE
from features.values import Retrieved, Source

pytestmark = pytest.mark.anyio

KEYS = tuple(f"C{at}" for at in range(9 * SLICE))


class Nobody:
    def observe(self, event: Event, /) -> None: ...


class Bench:
    """A retrieval over one view whose store holds every other key."""

    def __init__(self, view: FeatureView, clock: ManualClock) -> None:
        self.view = view
        self.clock = clock
        self.store = MemoryStore()
        self.retrieval = Retrieval([view], self.store, clock, Nobody(), max_rows=10_000, read_timeout_s=2)
        for at, key in enumerate(KEYS):
            if at % 2:
                self.store.put(view.name, key, {"balance": float(at)})

    async def get(
        self, keys: Sequence[str], max_cached_s: float | None = None, until_s: float = 100.0
    ) -> Sequence[Retrieved]:
        bounds = Bounds.of_request(self.clock.monotonic(), max_cached_s, None)
        lookup = Lookup(self.view, tuple(keys))
        until = Deadline.after(until_s, self.clock)
        (rows,) = await self.retrieval.retrieve([lookup], bounds, Deadline.after(1, self.clock), until)
        return rows

    def begin(self, keys: Sequence[str], max_cached_s: float | None = None) -> "asyncio.Task[Sequence[Retrieved]]":
        return asyncio.ensure_future(self.get(keys, max_cached_s))

    @property
    def reads(self) -> list[tuple[object, ...]]:
        return [read.keys for read in self.store.reads]


@pytest.fixture
def bench(view: FeatureView, clock: ManualClock) -> Bench:
    return Bench(view, clock)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_many_missing_keys_are_one_read(bench: Bench) -> None:
    rows = await bench.get([*KEYS, *KEYS])
    assert bench.reads == [KEYS]
    assert [row.row is not None for row in rows] == [bool(at % 2) for at in range(len(KEYS))] * 2


@pytest.mark.parametrize("age_s", [0, 4, 6, 15, 25, 45])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("max_cached_s", [None, 5.0])
async def test_many_keys_are_answered_like_few(
    view: FeatureView, *, age_s: float, fails: bool, max_cached_s: float | None
) -> None:
    answers = []
    for size in (len(KEYS), 50):
        bench = Bench(view, ManualClock())
        for start in range(0, 400, 50):  # others are missing
            await bench.get(KEYS[start : start + 50])
        bench.clock.advance(age_s)
        if fails:
            bench.store.fail(StoreUnavailable("down"), reads=1_000)
        parts = [await bench.get(KEYS[start : start + size], max_cached_s) for start in range(0, len(KEYS), size)]
        rows = chain.from_iterable(parts)
        answers.append([(row.row, row.source, row.read_at, row.degraded, repr(row.error)) for row in rows])
    assert answers[0] == answers[1]


async def test_a_key_found_missing_is_in_the_air_before_the_last_key_is_sorted(bench: Bench) -> None:
    large = bench.begin(KEYS)
    await turns(2)
    assert bench.reads == []  # still being sorted
    other = bench.begin(KEYS)
    assert [row.row for row in await other] == [row.row for row in await large]
    assert bench.reads == [KEYS]


async def test_few_keys_do_not_wait_for_the_read_of_thousands_that_brings_them_too(bench: Bench) -> None:
    large = bench.begin(KEYS)
    await turns(2)
    small = bench.begin(KEYS[:3])
    assert [row.source for row in await small] == [Source.STORE] * 3
    assert not large.done()
    assert bench.reads == [KEYS[:3]]
    await large
    assert bench.reads == [KEYS[:3], KEYS]


async def test_what_others_read_meanwhile_is_not_read_again(bench: Bench) -> None:
    large = bench.begin(KEYS)
    await turns(2)
    small = bench.begin(KEYS[-3:])
    await asyncio.gather(large, small)
    assert sorted(key for read in bench.reads for key in read) == sorted(KEYS)
    assert bench.reads[0] == KEYS[-3:]


async def test_a_request_that_demands_a_later_read_has_one_of_its_own(bench: Bench) -> None:
    large = bench.begin(KEYS)
    await turns(2)
    bench.clock.advance(0.1)
    await asyncio.gather(large, bench.begin(KEYS[:3], max_cached_s=0))
    assert sorted(map(len, bench.reads)) == [3, len(KEYS)]


async def test_a_row_that_was_read_between_two_slices_is_used(bench: Bench) -> None:
    large = bench.begin(KEYS)
    await turns(2)
    bench.clock.advance(0.1)
    await bench.get(KEYS[-1:])
    last = (await large)[-1]
    assert (last.source, last.read_at) == (Source.CACHE, bench.clock.monotonic())


async def test_a_request_that_goes_away_between_two_slices_takes_nobody_down(
    bench: Bench, settle: Callable[[], Awaitable[None]]
) -> None:
    before = asyncio.all_tasks()
    large = bench.begin(KEYS)
    await turns(2)
    other = bench.begin(KEYS[1:])
    await turns(1)
    large.cancel()
    assert all(row.error is None for row in await other)
    aboard, rest = bench.reads
    assert sorted([*aboard, *rest]) == sorted(KEYS)
    await settle()
    assert asyncio.all_tasks() == before


async def test_it_ends_when_the_rows_are_worth_nothing_any_more(
    bench: Bench, settle: Callable[[], Awaitable[None]]
) -> None:
    before = asyncio.all_tasks()
    large = asyncio.ensure_future(bench.get(KEYS, until_s=5))
    await turns(2)
    bench.clock.advance(5)
    with pytest.raises(DeadlineExceeded):
        await large
    await settle()
    assert asyncio.all_tasks() == before


async def test_rows_in_memory_are_used_even_when_there_is_no_more_time_to_read(bench: Bench) -> None:
    for start in range(0, len(KEYS), 100):
        await bench.get(KEYS[start : start + 100])
    large = bench.begin(KEYS)
    await turns(2)
    bench.clock.advance(2)  # past the deadline for reads
    assert all(row.error is None for row in await large)


async def test_closing_while_keys_are_being_sorted_ends_the_read_and_leaves_no_task(
    bench: Bench, settle: Callable[[], Awaitable[None]]
) -> None:
    before = asyncio.all_tasks()
    large = bench.begin(KEYS)
    await turns(2)
    await bench.retrieval.aclose()
    assert {type(row.error) for row in await large} == {StoreError}
    assert asyncio.all_tasks() == before
    assert bench.reads == []
    await settle()
    assert (await bench.get(KEYS[:1]))[0].error is None  # nothing of the ended flight is left behind
