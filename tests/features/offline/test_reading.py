"""A job reads side by side, at its pace, and with patience; what it has in memory and fresh it does not read."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from features.clock import ManualClock
from features.errors import (
    StoreAnswerInvalid,
    StoreDenied,
    StoreError,
    StoreExhausted,
    StoreFileChanged,
    StoreTimeout,
    StoreUnavailable,
    StoreViewUnreadable,
)
from features.events import Nobody
from features.offline.pace import Pace
from features.offline.patience import Patience
from features.offline.reading import PatientReading
from features.planning import Lookup
from features.retrieval import Retrieval
from features.spec import CachePolicy, Entity, FeatureView
from features.stores.memory import MemoryStore
from features.values import Column, DType, Retrieved, RowLayout, Source

pytestmark = pytest.mark.anyio

Passing = Callable[[Awaitable[Any]], Awaitable[Any]]
VIEW = FeatureView(
    "account", Entity("customer", ()), RowLayout((Column("balance", DType.FLOAT),)), cache=CachePolicy(ttl_s=2.0)
)
TIMEOUT_S = 10.0
STORES_OWN_S = TIMEOUT_S - 0.02


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    for at in range(2_000):
        made.put("account", f"C{at}", {"balance": float(at)}, None)
    return made


class Job:
    """Reads customers of one view."""

    def __init__(self, store: MemoryStore, clock: ManualClock, **more: Any) -> None:
        self.retrieval = Retrieval([VIEW], store, clock, Nobody(), max_rows=100, read_timeout_s=TIMEOUT_S)
        keys_per_s = more.pop("keys_per_s", None)
        pace = None if keys_per_s is None else Pace(keys_per_s, clock)
        self.reading = PatientReading(self.retrieval, clock, Patience(clock, **more), pace)

    async def read(self, keys: Sequence[str]) -> Sequence[Retrieved]:
        [rows] = await self.reading.read([Lookup(VIEW, keys)])
        return rows


def customers(n: int, start: int = 0) -> list[str]:
    return [f"C{at}" for at in range(start, start + n)]


def balances(rows: Sequence[Retrieved]) -> list[object]:
    return [None if one.row is None else VIEW.layout.value(one.row, 0) for one in rows]


async def test_many_keys_are_read_several_hundred_at_a_time_side_by_side(
    store: MemoryStore, clock: ManualClock, settle: Callable[[], Awaitable[None]]
) -> None:
    store.hold()
    reading = asyncio.ensure_future(Job(store, clock).read(customers(1_200)))
    while store.under_way < 3:  # what comes before lets others have dozens of turns
        await settle()
    assert [len(read.keys) for read in store.reads] == [500, 500, 200]
    assert store.under_way == 3
    store.release()
    rows = await reading
    assert balances(rows) == [float(at) for at in range(1_200)]  # though only a hundred fit into memory


async def test_a_fresh_row_in_memory_is_not_read_and_a_stale_one_is_read_anew(
    store: MemoryStore, clock: ManualClock
) -> None:
    job = Job(store, clock)
    await job.read(customers(3))
    clock.advance(1.5)
    rows = await job.read(customers(5))
    assert [read.keys for read in store.reads] == [("C0", "C1", "C2"), ("C3", "C4")]
    assert [one.source for one in rows] == [Source.CACHE] * 3 + [Source.STORE] * 2
    assert len(await job.read(customers(5))) == 5
    assert len(store.reads) == 2
    clock.advance(1)  # within stale-while-revalidate
    store.put("account", "C0", {"balance": -1.0}, None)
    rows = await job.read(customers(2))
    assert [one.source for one in rows] == [Source.STORE] * 2
    assert balances(rows) == [-1.0, 1.0]


async def test_chunks_that_are_read_at_the_same_time_read_what_they_share_once(
    store: MemoryStore, clock: ManualClock
) -> None:
    job = Job(store, clock)
    rows = await asyncio.gather(job.read(customers(60)), job.read(customers(60, start=30)))
    assert [balances(one) for one in rows] == [[float(at) for at in range(start, start + 60)] for start in (0, 30)]
    assert [read.keys for read in store.reads] == [tuple(customers(60)), tuple(customers(30, start=60))]


async def test_keys_are_read_at_the_pace_and_those_in_memory_cost_nothing(
    store: MemoryStore, clock: ManualClock, passing: Passing
) -> None:
    job = Job(store, clock, keys_per_s=1_000)
    began = clock.monotonic()
    await passing(job.read(customers(950)))
    assert max(len(read.keys) for read in store.reads) == 100
    times = [(read.deadline.at - STORES_OWN_S - began, len(read.keys)) for read in store.reads]
    for at, (time_s, _) in enumerate(times):
        assert sum(keys for _, keys in times[: at + 1]) <= 1_000 * time_s + 100 + 1e-6
    assert clock.monotonic() - began == pytest.approx(0.9, abs=0.02)
    n_reads, now = len(store.reads), clock.monotonic()
    await passing(job.read(customers(50, start=900)))
    assert (len(store.reads), clock.monotonic()) == (n_reads, now)


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable("away"),
        StoreTimeout("slow"),
        StoreExhausted("quota", retry_after_s=3.0),
        StoreFileChanged("changed"),
    ],
    ids=str,
)
async def test_an_outage_is_waited_out(
    store: MemoryStore, clock: ManualClock, passing: Passing, error: StoreError
) -> None:
    store.fail(error, reads=5)
    began = clock.monotonic()
    rows = await passing(Job(store, clock).read(customers(700)))
    assert balances(rows) == [float(at) for at in range(700)]
    pushed_back_s = getattr(error, "retry_after_s", 0.1)
    assert clock.monotonic() - began >= pushed_back_s


async def test_only_what_failed_is_read_again(
    store: MemoryStore, clock: ManualClock, passing: Passing, settle: Callable[[], Awaitable[None]]
) -> None:
    store.spoil("account", "C1", StoreUnavailable("away"))
    reading = asyncio.ensure_future(Job(store, clock).read(customers(3)))
    for _ in range(3):
        await settle()
        clock.advance(0.4)
    store.put("account", "C1", {"balance": 7.0}, None)
    assert balances(await passing(reading)) == [0.0, 7.0, 2.0]
    assert len(store.reads) > 3
    assert {read.keys for read in store.reads[1:]} == {("C1",)}


async def test_an_outage_that_lasts_ends_the_job_within_its_patience_and_says_what_to_do(
    store: MemoryStore, clock: ManualClock, passing: Passing, caplog: pytest.LogCaptureFixture
) -> None:
    store.fail(StoreUnavailable("nobody answers"), reads=100_000)
    began = clock.monotonic()
    with pytest.raises(StoreUnavailable, match=r"'account' could not be read for \d+ s \(nobody answers\).*resume"):
        await passing(Job(store, clock, patience_s=30.0).read(customers(1_200)))
    assert 15 < clock.monotonic() - began <= 30
    assert [record.getMessage() for record in caplog.records] == [
        "'account' cannot be read (nobody answers); trying again for up to 30 s"
    ]


async def test_pauses_grow_so_that_a_store_that_is_down_is_left_alone(
    store: MemoryStore, clock: ManualClock, passing: Passing
) -> None:
    store.fail(StoreUnavailable("away"), reads=100_000)
    with pytest.raises(StoreUnavailable):
        await passing(Job(store, clock, random=lambda: 1.0).read(["C1"]))
    began = [read.deadline.at for read in store.reads]
    pauses_s = [later - sooner for sooner, later in pairwise(began)]
    assert pauses_s[:8] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10], abs=0.011)
    assert max(pauses_s) <= 10.011


async def test_a_refused_identity_ends_the_job_at_once(store: MemoryStore, clock: ManualClock) -> None:
    store.fail(StoreDenied("not you"))
    with pytest.raises(StoreDenied, match="not you"):
        await Job(store, clock).read(customers(3))
    assert len(store.reads) == 1


async def test_a_view_that_is_gone_ends_the_job_and_is_no_fault_of_its_keys(
    store: MemoryStore, clock: ManualClock
) -> None:
    store.fail(StoreViewUnreadable("the feature view does not exist"))
    with pytest.raises(StoreViewUnreadable, match="'account' cannot be read: the feature view does not exist; what"):
        await Job(store, clock).read(customers(3))
    assert len(store.reads) == 1


async def test_nonsense_about_one_key_stays_with_this_key(store: MemoryStore, clock: ManualClock) -> None:
    store.spoil("account", "C1", StoreAnswerInvalid("damaged"))
    store.spoil("account", "C2", StoreDenied("not this one"))
    rows = await Job(store, clock).read([*customers(3), "nobody"])
    assert [type(one.error) for one in rows] == [type(None), StoreAnswerInvalid, StoreDenied, type(None)]
    assert [one.row is None for one in rows] == [False, True, True, True]
    assert len(store.reads) == 1


async def test_a_mistake_of_ours_is_nobodys_outage(store: MemoryStore, clock: ManualClock) -> None:
    store.fail(ZeroDivisionError())  # type: ignore[arg-type]  # what no store raises
    with pytest.raises(ZeroDivisionError):
        await Job(store, clock).read(customers(1_200))
