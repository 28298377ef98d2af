"""Look up, fetch what is missing in one batch per view, fall back."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from features.clock import ManualClock
from features.deadline import Deadline
from features.errors import DeadlineExceeded, StoreAnswerInvalid, StoreError, StoreTimeout, StoreUnavailable
from features.events import CacheLookedUp, Event, StoreRead
from features.freshness import Bounds
from features.planning import Lookup
from features.retrieval import Retrieval
from features.spec import FeatureView
from features.stores.base import OnlineStore, ReadAnswer
from features.stores.memory import MemoryStore
from features.values import EntityKey, Retrieved, Source

pytestmark = pytest.mark.anyio

Settle = Callable[[], Awaitable[None]]

READ_TIMEOUT_S = 2.0


@dataclass
class Notes:
    """An observer that writes everything down."""

    events: list[Event] = field(default_factory=list)

    def observe(self, event: Event, /) -> None:
        self.events.append(event)

    @property
    def looked_up(self) -> list[CacheLookedUp]:
        return [event for event in self.events if isinstance(event, CacheLookedUp)]

    @property
    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.events if isinstance(event, StoreRead)]


@dataclass
class Bench:
    """A retrieval over one view, with everything around it in the test's hands."""

    view: FeatureView
    clock: ManualClock
    store: MemoryStore = field(default_factory=MemoryStore)
    notes: Notes = field(default_factory=Notes)
    max_rows: int = 10_000
    retrieval: Retrieval = field(init=False)

    def __post_init__(self) -> None:
        self.retrieval = self.over(self.store)

    def over(self, store: OnlineStore) -> Retrieval:
        return Retrieval(
            [self.view], store, self.clock, self.notes, max_rows=self.max_rows, read_timeout_s=READ_TIMEOUT_S
        )

    def put(self, key: EntityKey, balance: float) -> None:
        self.store.put(self.view.name, key, {"balance": balance}, event_time=self.clock.wall())

    async def get(
        self, *keys: EntityKey, max_cached_s: float | None = None, budget_s: float = 1.0
    ) -> Sequence[Retrieved]:
        """One request that arrives now."""
        bounds = Bounds.of_request(self.clock.monotonic(), max_cached_s, None)
        lookup = Lookup(self.view, keys)
        (rows,) = await self.retrieval.retrieve([lookup], bounds, Deadline.after(budget_s, self.clock))
        return rows

    async def one(self, key: EntityKey = "C1", *, max_cached_s: float | None = None) -> Retrieved:
        (row,) = await self.get(key, max_cached_s=max_cached_s)
        return row

    def begin(self, *keys: EntityKey, max_cached_s: float | None = None, budget_s: float = 1.0) -> "Task":
        return asyncio.create_task(self.get(*keys, max_cached_s=max_cached_s, budget_s=budget_s))

    def cached_s(self, found: Retrieved) -> float:
        return self.clock.monotonic() - found.read_at

    def balance(self, found: Retrieved) -> object:
        return None if found.row is None else self.view.layout.value(found.row, 0)

    @property
    def reads(self) -> list[tuple[EntityKey, ...]]:
        return [read.keys for read in self.store.reads]


Task = asyncio.Task[Sequence[Retrieved]]


@pytest.fixture
def bench(view: FeatureView, clock: ManualClock) -> Bench:
    bench = Bench(view, clock)
    bench.put("C1", 1.0)
    bench.put("C2", 2.0)
    return bench


# Fresh


async def test_a_cold_row_comes_from_the_store_and_then_from_the_cache(bench: Bench) -> None:
    cold = await bench.one()
    assert (bench.balance(cold), cold.source, bench.cached_s(cold), cold.degraded) == (1.0, Source.STORE, 0.0, False)
    bench.clock.advance(5)
    warm = await bench.one()
    assert (bench.balance(warm), warm.source, bench.cached_s(warm), warm.degraded) == (1.0, Source.CACHE, 5.0, False)
    assert bench.reads == [("C1",)]


async def test_many_keys_make_one_read_of_the_distinct_missing_ones(bench: Bench) -> None:
    await bench.one("C2")
    rows = await bench.get("C1", "C2", "unknown", "C1")
    assert [bench.balance(row) for row in rows] == [1.0, 2.0, None, 1.0]
    assert bench.reads == [("C2",), ("C1", "unknown")]


async def test_no_keys_need_no_read(bench: Bench) -> None:
    assert await bench.get() == []
    assert bench.reads == []


async def test_views_are_read_side_by_side(view: FeatureView, clock: ManualClock, settle: Settle) -> None:
    other = dataclasses.replace(view, name="activity")
    store = MemoryStore()
    store.put("account", "C1", {"balance": 1.0})
    store.put("activity", "C1", {"balance": 2.0})
    store.hold()
    retrieval = Retrieval([view, other], store, clock, Notes(), max_rows=10, read_timeout_s=READ_TIMEOUT_S)
    lookups = [Lookup(one, ("C1",)) for one in (other, view)]
    asked = asyncio.create_task(retrieval.retrieve(lookups, Bounds(), Deadline.after(1, clock)))
    await settle()
    assert [read.view for read in store.reads] == ["activity", "account"]
    assert store.under_way == 2
    store.release()
    first, second = await asked
    assert [view.layout.value(one[0].row, 0) for one in (first, second) if one[0].row] == [2.0, 1.0]
    assert retrieval.cached_rows() == {"account": 1, "activity": 1}


async def test_the_cache_is_bounded(view: FeatureView, clock: ManualClock) -> None:
    bench = Bench(view, clock, max_rows=2)
    for key in ("C1", "C2", "C3"):
        bench.put(key, 1.0)
    rows = await bench.get("C1", "C2", "C3")
    assert [bench.balance(row) for row in rows] == [1.0] * 3
    assert bench.retrieval.cached_rows() == {"account": 2}


# Single flight


async def test_a_thousand_requests_for_one_cold_key_make_one_read(bench: Bench, settle: Settle) -> None:
    bench.store.hold()
    asked = [bench.begin("C1") for _ in range(1_000)]
    await settle()
    bench.store.release()
    rows = await asyncio.gather(*asked)
    assert {bench.balance(row) for (row,) in rows} == {1.0}
    assert bench.reads == [("C1",)]


async def test_three_thousand_requests_for_a_hundred_cold_keys_make_a_hundred_reads(
    bench: Bench, settle: Settle
) -> None:
    bench.store.hold()
    asked = [bench.begin(f"K{number % 100}") for number in range(3_000)]
    await settle()
    bench.store.release()
    await asyncio.gather(*asked)
    assert sorted(bench.reads) == sorted((f"K{number}",) for number in range(100))


async def test_a_request_joins_the_reads_of_others_and_reads_only_what_is_left(bench: Bench, settle: Settle) -> None:
    bench.store.hold()
    first = bench.begin("C1")
    await settle()
    second = bench.begin("C2", "C1")
    await settle()
    assert bench.reads == [("C1",), ("C2",)]
    bench.store.release()
    assert [bench.balance(row) for row in await second] == [2.0, 1.0]
    await first
    assert (bench.notes.looked_up[1].miss, bench.notes.looked_up[1].coalesced) == (1, 1)


async def test_a_caller_that_leaves_takes_nobody_down(bench: Bench, settle: Settle) -> None:
    bench.store.hold()
    leader, follower = bench.begin("C1"), bench.begin("C1")
    await settle()
    leader.cancel()
    await settle()
    bench.store.release()
    assert bench.balance((await follower)[0]) == 1.0
    assert leader.cancelled()
    assert bench.reads == [("C1",)]


async def test_what_an_abandoned_read_brings_is_kept(bench: Bench, settle: Settle) -> None:
    bench.store.hold()
    asked = bench.begin("C1")
    await settle()
    asked.cancel()
    bench.store.release()
    await settle()
    assert (await bench.one()).source is Source.CACHE
    assert bench.reads == [("C1",)]


async def test_a_failure_is_shared_by_those_who_waited_and_not_cached(bench: Bench, settle: Settle) -> None:
    failure = StoreUnavailable("down")
    bench.store.fail(failure)
    bench.store.hold()
    asked = [bench.begin("C1") for _ in range(10)]
    await settle()
    bench.store.release()
    assert all(row.error is failure for (row,) in await asyncio.gather(*asked))
    assert bench.balance(await bench.one()) == 1.0
    assert bench.reads == [("C1",), ("C1",)]


# Stale


async def test_a_stale_row_is_served_at_once_while_one_refresh_runs(bench: Bench, settle: Settle) -> None:
    await bench.one()
    bench.clock.advance(10)
    bench.put("C1", 1.5)
    bench.store.hold()
    for _ in range(3):
        stale = await bench.one()
        assert (bench.balance(stale), stale.source, bench.cached_s(stale), stale.degraded) == (
            1.0,
            Source.STALE,
            10.0,
            False,
        )
    await settle()
    assert bench.reads == [("C1",), ("C1",)]
    bench.store.release()
    await settle()
    fresh = await bench.one()
    assert (bench.balance(fresh), fresh.source, bench.cached_s(fresh)) == (1.5, Source.CACHE, 0.0)


async def test_missing_and_stale_keys_are_read_in_one_batch(bench: Bench) -> None:
    await bench.one("C1")
    bench.clock.advance(10)
    stale, cold = await bench.get("C1", "C2")
    assert (stale.source, cold.source) == (Source.STALE, Source.STORE)
    assert bench.reads == [("C1",), ("C2", "C1")]


async def test_a_refresh_that_fails_leaves_stale_service_and_is_tried_again(bench: Bench, settle: Settle) -> None:
    await bench.one()
    bench.clock.advance(10)
    bench.store.fail(StoreUnavailable("down"), reads=2)
    for _ in range(2):
        assert (await bench.one()).source is Source.STALE
        await settle()
    assert bench.notes.outcomes == ["ok", "unavailable", "unavailable"]
    await bench.one()
    await settle()
    assert (await bench.one()).source is Source.CACHE


async def test_a_refresh_that_finds_no_row_ends_the_stale_service(bench: Bench, settle: Settle) -> None:
    await bench.one()
    bench.clock.advance(10)
    bench.store.remove("account", "C1")
    assert (await bench.one()).row is not None
    await settle()
    gone = await bench.one()
    assert (gone.row, gone.source, gone.error) == (None, Source.CACHE, None)


async def test_beyond_revalidation_the_caller_waits_for_the_store(bench: Bench) -> None:
    await bench.one()
    bench.clock.advance(20)
    bench.put("C1", 1.5)
    fresh = await bench.one()
    assert (bench.balance(fresh), fresh.source, fresh.degraded) == (1.5, Source.STORE, False)


@pytest.mark.parametrize("late_s", [20, 35])
async def test_beyond_revalidation_a_stale_row_is_served_flagged_if_the_store_fails(
    bench: Bench, late_s: float
) -> None:
    await bench.one()
    bench.clock.advance(late_s)
    bench.store.fail(StoreUnavailable("down"))
    stale = await bench.one()
    assert (bench.balance(stale), stale.source, bench.cached_s(stale)) == (1.0, Source.STALE, late_s)
    assert (stale.degraded, stale.error) == (True, None)


@pytest.mark.parametrize(("late_s", "degraded"), [(10, False), (20, True)])
async def test_in_an_outage_known_rows_are_served_without_a_read_for_each_and_reads_go_on_every_20_ms(
    bench: Bench, settle: Settle, late_s: float, *, degraded: bool
) -> None:
    async def ask() -> Retrieved:
        found = await bench.one()
        await settle()
        return found

    await ask()
    bench.clock.advance(late_s)
    bench.store.fail(StoreUnavailable("down"), reads=100)
    for _ in range(40):
        stale = await ask()
        assert (bench.balance(stale), stale.source, stale.degraded) == (1.0, Source.STALE, degraded)
    assert len(bench.reads) == 1 + 16
    bench.clock.advance(0.0199)
    await ask()
    assert len(bench.reads) == 1 + 16
    for number in range(1, 4):
        bench.clock.advance(0.02)
        await ask()
        await ask()
        assert len(bench.reads) == 1 + 16 + number
    bench.store.heal()
    bench.put("C1", 1.5)
    bench.clock.advance(0.02)
    await ask()
    assert bench.balance(await ask()) == 1.5
    bench.clock.advance(late_s)
    await ask()
    assert len(bench.reads) == 1 + 16 + 3 + 2  # the outage is forgotten


async def test_in_an_outage_an_unknown_key_is_read_all_the_same(bench: Bench) -> None:
    bench.store.fail(StoreUnavailable("down"), reads=100)
    for number in range(40):
        assert (await bench.one(f"C{number}")).error is not None
    assert len(bench.reads) == 40


async def test_a_store_that_fails_now_and_then_is_not_out(bench: Bench, settle: Settle) -> None:
    await bench.one()
    for _ in range(40):
        bench.clock.advance(10)
        bench.store.fail(StoreUnavailable("down"), reads=1)
        await bench.one()
        await settle()
        await bench.one()
        await settle()
        assert (await bench.one()).source is Source.CACHE
    assert len(bench.reads) == 1 + 2 * 40


async def test_an_expired_row_is_not_served_even_if_the_store_fails(bench: Bench) -> None:
    await bench.one()
    bench.clock.advance(40)
    failure = StoreUnavailable("down")
    bench.store.fail(failure)
    assert await bench.one() == Retrieved(None, error=failure)


# Unknown entities


async def test_an_unknown_entity_is_remembered_for_the_negative_ttl(bench: Bench) -> None:
    cold = await bench.one("X")
    assert (cold.row, cold.source, cold.error) == (None, Source.STORE, None)
    bench.clock.advance(4)
    known = await bench.one("X")
    assert (known.row, known.source, bench.cached_s(known)) == (None, Source.CACHE, 4.0)
    bench.put("X", 9.0)
    bench.clock.advance(1)
    found = await bench.one("X")
    assert (bench.balance(found), found.source) == (9.0, Source.STORE)
    assert bench.reads == [("X",), ("X",)]


async def test_a_negative_ttl_of_zero_remembers_no_absence(view: FeatureView, clock: ManualClock) -> None:
    bench = Bench(dataclasses.replace(view, cache=dataclasses.replace(view.cache, negative_ttl_s=0)), clock)
    for _ in range(2):
        assert (await bench.one("X")).source is Source.STORE
    assert bench.reads == [("X",), ("X",)]


async def test_an_absence_is_never_served_stale(bench: Bench) -> None:
    await bench.one("X")
    bench.clock.advance(5)
    failure = StoreUnavailable("down")
    bench.store.fail(failure)
    assert await bench.one("X") == Retrieved(None, error=failure)


# Deadlines and timeouts


async def test_when_the_deadline_passes_the_answer_is_that_it_passed(bench: Bench, settle: Settle) -> None:
    bench.store.hold()
    asked = bench.begin("C1", budget_s=1.0)
    await settle()
    bench.clock.advance(0.999)
    await settle()
    assert not asked.done()
    bench.clock.advance(0.001)
    (row,) = await asked
    assert row.row is None
    assert isinstance(row.error, DeadlineExceeded)


async def test_when_the_deadline_passes_a_stale_row_is_served_flagged(bench: Bench, settle: Settle) -> None:
    await bench.one()
    bench.clock.advance(20)
    bench.store.hold()
    asked = bench.begin("C1", budget_s=1.0)
    await settle()
    bench.clock.advance(1)
    (row,) = await asked
    assert (bench.balance(row), row.source, bench.cached_s(row), row.degraded) == (1.0, Source.STALE, 21.0, True)


async def test_a_read_outlives_the_deadline_of_who_asked(bench: Bench, settle: Settle) -> None:
    bench.store.hold()
    asked = bench.begin("C1", budget_s=1.0)
    await settle()
    bench.clock.advance(1)
    await asked
    bench.store.release()
    await settle()
    kept = await bench.one()
    assert (bench.balance(kept), kept.source, bench.cached_s(kept)) == (1.0, Source.CACHE, 1.0)


async def test_each_waiter_waits_to_its_own_deadline(bench: Bench, settle: Settle) -> None:
    bench.store.hold()
    hasty, patient = bench.begin("C1", budget_s=0.5), bench.begin("C1", budget_s=1.5)
    await settle()
    bench.clock.advance(0.5)
    await settle()
    assert isinstance(hasty.result()[0].error, DeadlineExceeded)
    bench.store.release()
    assert bench.balance((await patient)[0]) == 1.0


async def test_a_request_whose_deadline_has_passed_does_not_wait(bench: Bench) -> None:
    bench.store.hold()
    (row,) = await bench.get("C1", budget_s=0.0)
    assert isinstance(row.error, DeadlineExceeded)


async def test_a_read_that_takes_longer_than_it_may_is_ended(bench: Bench, settle: Settle) -> None:
    bench.store.hold()
    asked = bench.begin("C1", budget_s=60)
    await settle()
    own = bench.store.reads[0].deadline.at  # a little sooner, so that the store can say what it has
    assert own == pytest.approx(bench.clock.monotonic() + READ_TIMEOUT_S - 0.02)
    bench.clock.advance(READ_TIMEOUT_S)
    (row,) = await asked
    assert isinstance(row.error, StoreTimeout)
    assert str(row.error) == "a read of account took longer than 2 s"
    await settle()
    assert bench.store.under_way == 0
    assert bench.notes.outcomes == ["timeout"]


async def test_a_view_may_set_its_own_read_timeout(view: FeatureView, clock: ManualClock, settle: Settle) -> None:
    bench = Bench(dataclasses.replace(view, read_timeout_s=0.25), clock)
    bench.store.hold()
    asked = bench.begin("C1", budget_s=60)
    await settle()
    clock.advance(0.25)
    assert isinstance((await asked)[0].error, StoreTimeout)


class Resentful:
    """A store that answers a cancelled read with an error of its own."""

    async def open(self) -> None: ...

    async def read(
        self,
        view: FeatureView,  # noqa: ARG002  # the protocol's
        keys: Sequence[EntityKey],  # noqa: ARG002  # the protocol's
        deadline: Deadline,  # noqa: ARG002  # the protocol's
    ) -> Mapping[EntityKey, ReadAnswer]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise StoreUnavailable("call cancelled") from None
        return {}

    async def aclose(self) -> None: ...


async def test_what_a_read_says_after_it_was_ended_interests_nobody(bench: Bench, settle: Settle) -> None:
    """The test runner fails on an exception that was never retrieved."""
    bench.retrieval = bench.over(Resentful())
    asked = bench.begin("C1", budget_s=60)
    await settle()
    bench.clock.advance(READ_TIMEOUT_S)
    assert isinstance((await asked)[0].error, StoreTimeout)
    await settle()


# How long ago the read may be


async def test_max_cached_0_demands_a_read_that_begins_after_the_request(bench: Bench, settle: Settle) -> None:
    await bench.one()
    bench.clock.advance(1)
    bench.put("C1", 1.5)
    assert bench.balance(await bench.one()) == 1.0
    strict = await bench.one(max_cached_s=0)
    assert (bench.balance(strict), strict.source) == (1.5, Source.STORE)
    await settle()
    assert bench.balance(await bench.one()) == 1.5


async def test_max_cached_0_does_not_join_a_read_that_began_before(bench: Bench, settle: Settle) -> None:
    gate = bench.store.hold()
    early = bench.begin("C1")
    await settle()
    bench.put("C1", 1.5)
    bench.clock.advance(0.25)
    bench.store.hold().set()
    strict = await bench.one(max_cached_s=0)
    assert (bench.balance(strict), bench.cached_s(strict)) == (1.5, 0.0)
    gate.set()
    # the older read has ended last, brought the older row, and is not believed
    assert [bench.balance(row) for row in await early] == [1.5]
    assert bench.balance(await bench.one()) == 1.5
    assert bench.reads == [("C1",), ("C1",)]


async def test_two_strict_requests_of_the_same_instant_share_a_read(bench: Bench, settle: Settle) -> None:
    bench.store.hold()
    asked = [bench.begin("C1", max_cached_s=0) for _ in range(2)]
    await settle()
    bench.store.release()
    await asyncio.gather(*asked)
    assert bench.reads == [("C1",)]


async def test_a_row_that_was_read_recently_enough_satisfies_the_bound(bench: Bench) -> None:
    await bench.one()
    bench.clock.advance(4)
    assert (await bench.one(max_cached_s=4)).source is Source.CACHE
    assert (await bench.one(max_cached_s=3.999)).source is Source.STORE


async def test_a_row_outside_the_bound_is_no_fallback(bench: Bench) -> None:
    await bench.one()
    bench.clock.advance(20)
    bench.store.fail(StoreUnavailable("down"), reads=2)
    assert isinstance((await bench.one(max_cached_s=19)).error, StoreUnavailable)
    assert (await bench.one(max_cached_s=20)).degraded


async def test_the_bound_holds_for_absences_too(bench: Bench) -> None:
    await bench.one("X")
    bench.put("X", 9.0)
    bench.clock.advance(1)
    assert bench.balance(await bench.one("X", max_cached_s=0)) == 9.0


# Clock steps


@pytest.mark.parametrize("step_s", [3600, -3600, 10 * 365 * 86400])
async def test_a_step_of_the_wall_clock_expires_nothing_and_revives_nothing(bench: Bench, step_s: float) -> None:
    await bench.get("C1", "X")
    bench.clock.advance(4)
    bench.clock.step_wall(step_s)
    rows = await bench.get("C1", "X")
    assert [(row.source, bench.cached_s(row)) for row in rows] == [(Source.CACHE, 4.0)] * 2
    bench.clock.advance(36)
    bench.clock.step_wall(-step_s)
    bench.store.fail(StoreUnavailable("down"))
    assert all(row.error for row in await bench.get("C1", "X"))


# What the store answers


async def test_an_error_for_one_key_is_that_keys_alone(bench: Bench) -> None:
    damaged = StoreAnswerInvalid("damaged")
    bench.store.spoil("account", "C2", damaged)
    first, second = await bench.get("C1", "C2")
    assert bench.balance(first) == 1.0
    assert second == Retrieved(None, error=damaged)
    assert bench.notes.outcomes == ["ok"]


async def test_an_error_for_one_key_falls_back_like_a_failed_read(bench: Bench) -> None:
    await bench.one()
    bench.clock.advance(20)
    bench.store.spoil("account", "C1", StoreAnswerInvalid("damaged"))
    assert (await bench.one()).degraded


async def test_a_key_that_is_left_out_is_a_malformed_answer_not_an_absence(bench: Bench) -> None:
    bench.store.leave_out("account", "C2")
    first, second = await bench.get("C1", "C2")
    assert bench.balance(first) == 1.0
    assert isinstance(second.error, StoreAnswerInvalid)
    assert (await bench.one("C2")).source is Source.STORE


class Broken:
    """A store with a bug."""

    async def open(self) -> None: ...

    async def read(
        self,
        view: FeatureView,  # noqa: ARG002  # the protocol's
        keys: Sequence[EntityKey],  # noqa: ARG002  # the protocol's
        deadline: Deadline,  # noqa: ARG002  # the protocol's
    ) -> Mapping[EntityKey, ReadAnswer]:
        raise ZeroDivisionError

    async def aclose(self) -> None: ...


async def test_a_bug_in_a_store_is_not_taken_for_an_outage(bench: Bench) -> None:
    bench.retrieval = bench.over(Broken())
    with pytest.raises(ZeroDivisionError):
        await bench.one()
    assert bench.notes.outcomes == ["error"]


# Telemetry


async def test_each_look_up_is_counted_by_what_was_done(bench: Bench, settle: Settle) -> None:
    await bench.one("C1")
    bench.clock.advance(10)
    await bench.get("C2", "X")
    bench.store.hold()
    flying = bench.begin("C3")
    await settle()
    asked = bench.begin("C1", "C2", "X", "C3", "C4", "C5", "C2")
    await settle()
    assert bench.notes.looked_up[-1] == CacheLookedUp("account", fresh=1, stale=1, negative=1, miss=2, coalesced=1)
    bench.store.release()
    await asyncio.gather(flying, asked)


async def test_each_read_is_told_with_its_size_and_duration(bench: Bench, settle: Settle) -> None:
    bench.store.hold()
    asked = bench.begin("C1", "C2")
    await settle()
    bench.clock.advance(0.5)
    bench.store.release()
    await asked
    assert bench.notes.events[-1] == StoreRead("account", 2, 0.5, "ok")


# The end


async def test_closing_ends_all_reads_and_leaves_no_task(bench: Bench, settle: Settle) -> None:
    before = asyncio.all_tasks()
    bench.store.hold()
    asked = bench.begin("C1")
    await settle()
    await bench.retrieval.aclose()
    (row,) = await asked
    assert type(row.error) is StoreError
    assert asyncio.all_tasks() == before
    assert bench.store.under_way == 0
    assert bench.notes.outcomes == ["cancelled"]


async def test_closing_at_once_is_possible_too(bench: Bench) -> None:
    before = asyncio.all_tasks()
    bench.store.hold()
    asked = bench.begin("C1")
    await asyncio.sleep(0)
    await bench.retrieval.aclose()
    assert type((await asked)[0].error) is StoreError
    assert asyncio.all_tasks() == before


async def test_nothing_is_left_running_after_any_request(bench: Bench, settle: Settle) -> None:
    before = asyncio.all_tasks()
    for step_s in (0, 10, 10, 20, 40):
        bench.clock.advance(step_s)
        await bench.get("C1", "C2", "X")
        await settle()
    assert asyncio.all_tasks() == before
