"""Any store, made bearable under load and failure."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from features.clock import ManualClock
from features.deadline import Deadline
from features.errors import (
    StoreAnswerInvalid,
    StoreDenied,
    StoreError,
    StoreExhausted,
    StoreFailed,
    StoreTimeout,
    StoreUnavailable,
)
from features.events import Event, ReadAttempted, ReadRefused
from features.spec import FeatureView
from features.stores.base import Decode, ReadAnswer
from features.stores.guarded import GuardedStore, GuardLimits, size_class
from features.stores.memory import MemoryStore
from features.values import EntityKey, FeatureRow

pytestmark = pytest.mark.anyio

Settle = Callable[[], Awaitable[None]]
Answers = Mapping[EntityKey, ReadAnswer]


class Notebook:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def observe(self, event: Event, /) -> None:
        self.events.append(event)

    @property
    def attempts(self) -> list[tuple[str, str]]:
        """Kind and outcome of each."""
        return [(event.kind, event.outcome) for event in self.events if isinstance(event, ReadAttempted)]

    @property
    def refused_by(self) -> list[str]:
        return [event.by for event in self.events if isinstance(event, ReadRefused)]


@pytest.fixture
def memory() -> MemoryStore:
    memory = MemoryStore()
    for number in range(4):
        memory.put("account", f"C{number}", {"visits": number})
    return memory


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


class Reader:
    """Reads through a guard, in simulated time."""

    def __init__(self, memory: MemoryStore, view: FeatureView, clock: ManualClock, notebook: Notebook) -> None:
        self.memory = memory
        self.view = view
        self.clock = clock
        self.notebook = notebook
        self.guard = self.guarded(GuardLimits())

    def guarded(self, limits: GuardLimits) -> GuardedStore:
        """From now on reads go through a guard with these limits; chance says no, and pauses nowhere."""
        self.guard = GuardedStore(self.memory, self.clock, self.notebook, limits, random=lambda: 0.0)
        return self.guard

    def begin(self, *keys: EntityKey, budget_s: float = 1.0) -> "asyncio.Task[Answers]":
        return asyncio.create_task(self._read(keys or ("C1",), budget_s))

    async def _read(self, keys: Sequence[EntityKey], budget_s: float) -> Answers:
        return await self.guard.read(self.view, keys, Deadline.after(budget_s, self.clock))

    async def warm_up(self, *keys: EntityKey) -> None:
        """Until latencies are known; all are 0, so the hedging delay is the least there is, 5 ms."""
        for _ in range(200):
            await self.begin(*keys)
        self.notebook.events.clear()
        self.memory.reads.clear()
        self.clock.advance(10)  # nothing of it is left in the throttle's window


@pytest.fixture
def reader(memory: MemoryStore, view: FeatureView, clock: ManualClock, notebook: Notebook) -> Reader:
    return Reader(memory, view, clock, notebook)


async def test_a_read_that_succeeds_is_one_attempt(reader: Reader, notebook: Notebook) -> None:
    await reader.guard.open()
    answers = await reader.begin("C1", "nobody")
    assert isinstance(answers["C1"], FeatureRow)
    assert answers["nobody"] is None
    assert notebook.events == [ReadAttempted("account", 2, 0.0, "ok", "first")]
    await reader.guard.aclose()


async def test_an_outage_that_passes_is_retried(reader: Reader, memory: MemoryStore, notebook: Notebook) -> None:
    memory.fail(StoreUnavailable("down"), reads=2)
    assert await reader.begin()
    assert notebook.attempts == [("first", "unavailable"), ("retry", "unavailable"), ("retry", "ok")]


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (StoreUnavailable("down"), 3),
        (StoreAnswerInvalid("malformed"), 2),
        (StoreTimeout("slow"), 1),
        (StoreDenied("who?"), 1),
        (StoreFailed("oh dear"), 1),
        (StoreExhausted("quota"), 1),
        (StoreExhausted("quota", retry_after_s=0.0), 3),
        (StoreExhausted("quota", retry_after_s=60.0), 1),
    ],
)
async def test_each_error_is_worth_its_own_number_of_attempts(
    reader: Reader, memory: MemoryStore, notebook: Notebook, error: StoreError, attempts: int
) -> None:
    memory.fail(error, reads=9)
    with pytest.raises(type(error)):
        await reader.begin()
    assert [outcome for _, outcome in notebook.attempts] == [error.outcome] * attempts


async def test_a_programming_error_is_passed_on_and_says_nothing_about_the_store(
    view: FeatureView, clock: ManualClock, notebook: Notebook
) -> None:
    class Broken(MemoryStore):
        async def read(self, *_: object) -> Answers:
            raise ZeroDivisionError

    reader = Reader(Broken(), view, clock, notebook)
    with pytest.raises(ZeroDivisionError):
        await reader.begin()
    assert notebook.attempts == [("first", "error")]


async def test_a_slow_read_is_hedged_and_the_loser_is_cancelled(
    reader: Reader, memory: MemoryStore, notebook: Notebook, settle: Settle
) -> None:
    await reader.warm_up()
    tasks = asyncio.all_tasks()
    memory.hold()
    reading = reader.begin()
    await settle()
    memory._gates.clear()  # only the first attempt hangs
    reader.clock.advance(0.005)
    assert await reading
    await settle()
    assert notebook.attempts == [("hedge", "ok"), ("first", "cancelled")]
    assert memory.under_way == 0
    assert asyncio.all_tasks() == tasks


async def test_batches_of_another_size_have_a_hedging_delay_of_their_own(
    reader: Reader, memory: MemoryStore, settle: Settle
) -> None:
    await reader.warm_up("C1")
    memory.hold()
    reading = reader.begin("C1", "C2")
    await settle()
    reader.clock.advance(0.1)
    await settle()
    assert len(memory.reads) == 1
    memory.release()
    await reading


@pytest.mark.parametrize(
    ("n_keys", "size"), [(1, 0), (2, 1), (4, 1), (5, 2), (16, 2), (17, 3), (64, 3), (65, 4), (256, 4), (257, 5)]
)
def test_batches_are_alike_within_powers_of_four(n_keys: int, size: int) -> None:
    assert size_class(n_keys) == size


async def test_no_hedge_takes_a_place_that_somebody_else_might_need(
    reader: Reader, memory: MemoryStore, notebook: Notebook, settle: Settle
) -> None:
    reader.guarded(GuardLimits(max_in_flight=2))
    await reader.warm_up()
    gates = []
    slow = []
    for _ in range(2):
        gates.append(memory.hold())
        slow.append(reader.begin("C1"))
        await settle()
    reader.clock.advance(0.1)
    await settle()
    waiting = reader.begin("C2")
    await settle()
    assert len(memory.reads) == 2
    gates[0].set()
    await settle()
    assert memory.reads[-1].keys == ("C2",)
    memory.release()
    await asyncio.gather(*slow, waiting)
    assert {kind for kind, _ in notebook.attempts} == {"first"}


async def test_the_deadline_ends_the_read_with_a_timeout(
    reader: Reader, memory: MemoryStore, notebook: Notebook, settle: Settle
) -> None:
    memory.hold()
    reading = reader.begin(budget_s=0.3)
    await settle()
    reader.clock.advance(0.3)
    with pytest.raises(StoreTimeout):
        await reading
    await settle()
    assert notebook.events == [ReadAttempted("account", 1, pytest.approx(0.3), "timeout", "first")]
    assert memory.under_way == 0


async def test_a_reader_that_goes_away_says_nothing_about_the_store(
    reader: Reader, memory: MemoryStore, notebook: Notebook, settle: Settle
) -> None:
    memory.hold()
    reading = reader.begin()
    await settle()
    reading.cancel()
    await settle()
    assert reading.cancelled()
    assert notebook.attempts == [("first", "cancelled")]
    assert "0 of 0 accepted" in repr(reader.guard)
    assert memory.under_way == 0


class Distant(MemoryStore):
    """A store whose rows are decoded when `gate` opens."""

    def __init__(self) -> None:
        super().__init__()
        self.put("account", "C1", {"visits": 1})
        self.gate = asyncio.Event()

    async def ask(self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline) -> Decode:
        answers = await super().read(view, keys, deadline)

        async def decode() -> Answers:
            await self.gate.wait()
            return answers

        return decode

    async def read(self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline) -> Answers:
        return await (await self.ask(view, keys, deadline))()


@pytest.fixture
def distant(view: FeatureView, clock: ManualClock, notebook: Notebook) -> Reader:
    return Reader(Distant(), view, clock, notebook)


async def test_a_reader_that_goes_away_while_rows_are_decoded_says_nothing_against_the_store(
    distant: Reader, notebook: Notebook, settle: Settle
) -> None:
    for _ in range(20):
        reading = distant.begin(budget_s=0.8)
        await settle()
        distant.clock.advance(0.8)
        reading.cancel()
        await settle()
        assert reading.cancelled()
    assert notebook.attempts == [("first", "ok")] * 20
    assert notebook.refused_by == []


async def test_the_time_of_decoding_sets_off_no_hedge_and_is_no_latency(
    distant: Reader, notebook: Notebook, settle: Settle
) -> None:
    store = distant.memory
    assert isinstance(store, Distant)
    for _ in range(200):
        store.gate.clear()
        reading = distant.begin()
        await settle()
        distant.clock.advance(0.1)
        store.gate.set()
        assert await reading
    assert notebook.attempts == [("first", "ok")] * 200
    assert {event.duration_s for event in notebook.events if isinstance(event, ReadAttempted)} == {0.0}


async def test_while_its_rows_are_decoded_a_read_holds_no_place(
    distant: Reader, notebook: Notebook, settle: Settle
) -> None:
    distant.guarded(GuardLimits(max_in_flight=1, max_waiting=0))
    readings = [distant.begin()]
    await settle()
    readings.append(distant.begin())
    await settle()
    assert isinstance(distant.memory, Distant)
    distant.memory.gate.set()
    assert await asyncio.gather(*readings)
    assert notebook.refused_by == []


async def test_reads_beyond_the_bulkhead_and_its_queue_are_refused_at_once(
    reader: Reader, memory: MemoryStore, notebook: Notebook, settle: Settle
) -> None:
    reader.guarded(GuardLimits(max_in_flight=2, max_waiting=1))
    memory.hold()
    readings = [reader.begin() for _ in range(4)]
    await settle()
    with pytest.raises(StoreUnavailable):
        await readings[3]
    assert memory.under_way == 2
    assert notebook.refused_by == ["bulkhead"]
    assert notebook.attempts == []
    memory.release()
    await asyncio.gather(*readings[:3])
    assert notebook.attempts == [("first", "ok")] * 3


async def test_a_read_that_gets_no_place_in_time_is_a_timeout(
    reader: Reader, memory: MemoryStore, notebook: Notebook, settle: Settle
) -> None:
    reader.guarded(GuardLimits(max_in_flight=1))
    memory.hold()
    blocking, waiting = reader.begin(), reader.begin(budget_s=0.2)
    await settle()
    reader.clock.advance(0.2)
    with pytest.raises(StoreTimeout):
        await waiting
    memory.release()
    await blocking
    assert notebook.attempts == [("first", "ok")]


@pytest.mark.parametrize("error", [StoreUnavailable("down"), StoreTimeout("slow"), StoreExhausted("quota")])
async def test_while_most_reads_are_refused_by_the_store_they_are_refused_here(
    reader: Reader, memory: MemoryStore, notebook: Notebook, error: StoreError
) -> None:
    memory.fail(error, reads=100)
    with pytest.raises(type(error)):
        await reader.begin()
    memory.reads.clear()
    with pytest.raises(StoreUnavailable, match="this one was not made"):
        await reader.begin()
    assert memory.reads == []
    assert notebook.refused_by == ["throttle"]


@pytest.mark.parametrize("error", [StoreDenied("who?"), StoreAnswerInvalid("nonsense"), StoreFailed("oh dear")])
async def test_a_store_that_answers_is_not_throttled_whatever_it_says(
    reader: Reader, memory: MemoryStore, notebook: Notebook, error: StoreError
) -> None:
    memory.fail(error, reads=100)
    for _ in range(20):
        with pytest.raises(type(error)):
            await reader.begin()
    assert notebook.refused_by == []


async def test_an_invalid_answer_for_a_key_is_read_once_more(
    reader: Reader, memory: MemoryStore, notebook: Notebook, settle: Settle
) -> None:
    memory.spoil("account", "C1", StoreAnswerInvalid("another entity's row"))
    gate = memory.hold()
    reading = reader.begin("C1", "C2")
    await settle()
    memory.put("account", "C1", {"visits": 1})
    gate.set()
    answers = await reading
    assert isinstance(answers["C1"], FeatureRow)
    assert isinstance(answers["C2"], FeatureRow)
    assert [read.keys for read in memory.reads] == [("C1", "C2"), ("C1",)]
    assert notebook.attempts == [("first", "ok"), ("retry", "ok")]


async def test_a_key_that_is_left_out_is_read_once_more(reader: Reader, memory: MemoryStore) -> None:
    memory.leave_out("account", "C1")
    assert set(await reader.begin("C1", "C2")) == {"C2"}
    assert [read.keys for read in memory.reads] == [("C1", "C2"), ("C1",)]


async def test_if_reading_once_more_fails_the_first_answers_stand(
    reader: Reader, memory: MemoryStore, settle: Settle
) -> None:
    invalid = StoreAnswerInvalid("another entity's row")
    memory.spoil("account", "C1", invalid)
    gate = memory.hold()
    reading = reader.begin("C1", "C2", budget_s=1.0)
    await settle()
    memory.hold()
    gate.set()
    await settle()
    assert len(memory.reads) == 2
    reader.clock.advance(0.5)  # half of what was left: the row of C2 still arrives in time
    answers = await reading
    assert answers["C1"] is invalid
    assert isinstance(answers["C2"], FeatureRow)


async def test_rows_that_are_wrong_for_good_cost_few_more_reads_and_no_retries(
    reader: Reader, memory: MemoryStore, notebook: Notebook
) -> None:
    memory.spoil("account", "C1", StoreAnswerInvalid("a string for a float"))
    for _ in range(1_000):
        await reader.begin()
    assert len(memory.reads) <= 1_000 * 1.05 + 10
    notebook.events.clear()
    memory.fail(StoreUnavailable("down"))
    await reader.begin()
    assert notebook.attempts[:2] == [("first", "unavailable"), ("retry", "ok")]


async def test_in_a_full_outage_the_store_sees_at_most_1_10_attempts_per_read(
    reader: Reader, memory: MemoryStore, notebook: Notebook
) -> None:
    """30 s at 50 reads/s; then the first read succeeds at once and most others within 2 s."""
    chance = random.Random(20)  # noqa: S311  # chance, not secrets
    reader.guard = GuardedStore(memory, reader.clock, notebook, random=chance.random)
    await reader.warm_up()

    async def load(seconds: int) -> list[bool]:
        succeeded = []
        for _ in range(50 * seconds):
            reading = reader.begin()
            for _ in range(20):  # 50 reads/s, whatever becomes of each
                reader.clock.advance(0.001)
                await asyncio.sleep(0)
            while not reading.done():
                reader.clock.advance(0.001)
                await asyncio.sleep(0)
            succeeded.append(reading.exception() is None)
        return succeeded

    memory.fail(StoreUnavailable("down"), reads=100_000)
    assert not any(await load(30))
    assert len(memory.reads) <= 1.10 * 1_500
    assert len(memory.reads) <= 0.30 * 1_500  # the throttle's part
    memory.heal()
    after = await load(6)
    assert any(after[:10])
    assert sum(after[100:]) >= 0.95 * 200


async def test_without_the_throttle_the_budget_alone_keeps_the_bound(reader: Reader, memory: MemoryStore) -> None:
    """Fewer than 10 reads/s are never throttled; 270 of them in an outage of 30 s make 280 attempts."""
    memory.fail(StoreUnavailable("down"), reads=100_000)
    for _ in range(270):
        reader.clock.advance(0.11)
        with pytest.raises(StoreUnavailable):
            await reader.begin()
    assert len(memory.reads) == 270 + 10


async def test_a_store_that_fails_a_tenth_of_its_reads_hardly_shows_it(
    view: FeatureView, clock: ManualClock, notebook: Notebook
) -> None:
    chance = random.Random(20)  # noqa: S311  # chance, not secrets

    class Flaky(MemoryStore):
        async def read(self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline) -> Answers:
            if chance.random() < 0.1:
                raise StoreUnavailable("now and then")
            return await super().read(view, keys, deadline)

    reader = Reader(Flaky(), view, clock, notebook)
    failed = 0
    for _ in range(5_000):
        clock.advance(0.02)
        reading = reader.begin()
        await asyncio.wait([reading])
        failed += reading.exception() is not None
    assert failed <= 0.002 * 5_000
