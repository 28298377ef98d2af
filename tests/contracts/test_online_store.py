"""What every online store does, whoever made it.

To put a store through this suite, add it to `STORES`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from features.clock import SystemClock
from features.deadline import Deadline
from features.emulator import Emulator
from features.errors import StoreAnswerInvalid
from features.events import Nobody
from features.keys import KeyPart
from features.spec import Entity, FeatureView
from features.stores.base import OnlineStore, ReadAnswer, ReadMode
from features.stores.coalescing import CoalescingStore
from features.stores.guarded import GuardedStore
from features.stores.memory import MemoryStore
from features.stores.sqlite import SqliteStore
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.stores.vertex import VertexStore
from features.values import Column, DType, EntityKey, FeatureRow, RowLayout, Value

pytestmark = pytest.mark.anyio

CUSTOMER = Entity("customer", (KeyPart("customer_id"),))
PAIR = Entity("pair", (KeyPart("customer_id"), KeyPart("merchant_id")))
ACCOUNT = FeatureView(
    "account",
    CUSTOMER,
    RowLayout(
        (
            Column("balance", DType.FLOAT),
            Column("visits", DType.INT),
            Column("active", DType.BOOL),
            Column("city", DType.STRING),
        )
    ),
)
PAIR_HISTORY = FeatureView("pair_history", PAIR, RowLayout((Column("n", DType.INT),)))
OTHER = FeatureView("other", CUSTOMER, ACCOUNT.layout)


@dataclass(frozen=True)
class Subject:
    """A store under test.

    Attributes:
        store: The store, open.
        load: Makes these rows all that a view holds, with the view's columns as they are stored.
    """

    store: OnlineStore
    load: Callable[[FeatureView, Iterable[StoredRow]], None]

    async def read(self, view: FeatureView, *keys: EntityKey) -> Mapping[EntityKey, ReadAnswer]:
        return await self.store.read(view, keys, Deadline.after(60, SystemClock()))

    async def values(self, view: FeatureView, key: EntityKey) -> list[Value]:
        row = (await self.read(view, key))[key]
        assert isinstance(row, FeatureRow)
        return [view.layout.value(row, at) for at in range(len(view.layout.columns))]


@asynccontextmanager
async def _memory(_folder: Path) -> AsyncIterator[Subject]:
    store = MemoryStore()
    held: dict[str, list[EntityKey]] = {}

    def load(view: FeatureView, rows: Iterable[StoredRow]) -> None:
        for key in held.pop(view.name, ()):
            store.remove(view.name, key)
        for row in rows:
            store.put(view.name, row.key, row.values, row.event_time, row.event_times)
            held.setdefault(view.name, []).append(row.key)

    await store.open()
    yield Subject(store, load)
    await store.aclose()


def _load(path: Path, view: FeatureView, rows: Iterable[StoredRow]) -> None:
    with SqliteWriter(path) as writer:
        columns = {column.name: column.dtype for column in view.layout.columns}
        writer.replace_view(view.name, tuple(part.name for part in view.entity.keys), columns, rows)


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[Subject]:
    path = folder / "features.sqlite"
    _load(path, ACCOUNT, ())
    store = SqliteStore(path)
    await store.open()
    yield Subject(store, partial(_load, path))
    await store.aclose()


def _alone(store: OnlineStore) -> OnlineStore:
    return store


def _guarded(store: OnlineStore) -> OnlineStore:
    return GuardedStore(store, SystemClock(), Nobody())


def _coalescing(store: OnlineStore) -> OnlineStore:
    """As the service has it."""
    return CoalescingStore(_guarded(store))


@asynccontextmanager
async def _vertex(
    folder: Path, mode: ReadMode, wrap: Callable[[OnlineStore], OnlineStore] = _alone
) -> AsyncIterator[Subject]:
    """Vertex AI's protocol over a real connection; the emulator reads the embedded store's file."""
    path = folder / "features.sqlite"
    _load(path, ACCOUNT, ())
    source = "projects/p/locations/us-central1/featureOnlineStores/s/featureViews/"
    views = [replace(view, source=source + view.name) for view in (ACCOUNT, PAIR_HISTORY, OTHER)]
    async with Emulator(path, rest_port=None) as emulator:
        store = wrap(VertexStore(views, None, endpoint=f"127.0.0.1:{emulator.port}", mode=mode))
        await store.open()
        yield Subject(store, partial(_load, path))
        await store.aclose()


@asynccontextmanager
async def _wrapped_sqlite(folder: Path, wrap: Callable[[OnlineStore], OnlineStore]) -> AsyncIterator[Subject]:
    async with _sqlite(folder) as subject:
        yield replace(subject, store=wrap(subject.store))


STORES: Mapping[str, Callable[[Path], AbstractAsyncContextManager[Subject]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "sqlite-guarded": partial(_wrapped_sqlite, wrap=_guarded),
    "sqlite-coalescing": partial(_wrapped_sqlite, wrap=_coalescing),
    "vertex-auto": partial(_vertex, mode=ReadMode.AUTO),
    "vertex-streaming": partial(_vertex, mode=ReadMode.STREAMING),
    "vertex-unary": partial(_vertex, mode=ReadMode.UNARY),
    "vertex-guarded": partial(_vertex, mode=ReadMode.AUTO, wrap=_guarded),
    "vertex-coalescing": partial(_vertex, mode=ReadMode.AUTO, wrap=_coalescing),
}


@pytest.fixture(params=STORES)
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    async with STORES[request.param](tmp_path) as subject:
        yield subject


@pytest.mark.parametrize(
    "values",
    [
        [1234.56, 3, True, "Oslo"],
        [-0.1, -(2**63), False, ""],
        [5e-324, 2**63 - 1, True, "Łódź 🙂 \"'\\\n\x00"],
        [3.4e38, 2**53 + 1, False, "007"],
        [None, None, None, None],
    ],
)
async def test_values_are_answered_exactly(subject: Subject, values: list[Value]) -> None:
    columns = [column.name for column in ACCOUNT.layout.columns]
    subject.load(ACCOUNT, [StoredRow("C1", dict(zip(columns, values, strict=True)))])
    got = await subject.values(ACCOUNT, "C1")
    assert got == values
    assert [type(one) for one in got] == [type(one) for one in values]


async def test_an_unknown_key_has_no_row(subject: Subject) -> None:
    assert await subject.read(ACCOUNT, "nobody") == {"nobody": None}


async def test_every_key_of_a_batch_is_answered(subject: Subject) -> None:
    subject.load(ACCOUNT, [StoredRow(f"C{number}", {"visits": number}) for number in range(0, 1000, 2)])
    keys = [f"C{number}" for number in range(1000)]
    answers = await subject.read(ACCOUNT, *keys)
    assert set(answers) == set(keys)
    for number in range(1000):
        row = answers[f"C{number}"]
        if number % 2:
            assert row is None
        else:
            assert isinstance(row, FeatureRow)
            assert ACCOUNT.layout.value(row, 1) == number


_AWKWARD = [
    "007",
    "7",
    "a b",
    "a,b",
    'a"b',
    "a'b",
    "a\\b",
    "%",
    "?",
    "[1]",
    '["a","b"]',
    "Ω🙂",
    "\x1f\x7f",
    "A",
    "a",
    "a ",
]


async def test_keys_are_taken_verbatim(subject: Subject) -> None:
    subject.load(ACCOUNT, [StoredRow(key, {"visits": number}) for number, key in enumerate(_AWKWARD)])
    answers = await subject.read(ACCOUNT, *_AWKWARD)
    for number, key in enumerate(_AWKWARD):
        row = answers[key]
        assert isinstance(row, FeatureRow)
        assert ACCOUNT.layout.value(row, 1) == number
        assert (await subject.values(ACCOUNT, key))[1] == number


async def test_the_parts_of_a_composite_key_never_run_together(subject: Subject) -> None:
    keys: Sequence[EntityKey] = [
        ("a", "b"),
        ("ab", "c"),
        ("a", "bc"),
        ("b", "a"),
        ("a,b", "c"),
        ("a", "b,c"),
        ('a"', "b"),
    ]
    subject.load(PAIR_HISTORY, [StoredRow(key, {"n": number}) for number, key in enumerate(keys)])
    answers = await subject.read(PAIR_HISTORY, *keys, ("a", "nobody"))
    assert answers["a", "nobody"] is None
    for number, key in enumerate(keys):
        row = answers[key]
        assert isinstance(row, FeatureRow)
        assert PAIR_HISTORY.layout.value(row, 0) == number
        assert await subject.values(PAIR_HISTORY, key) == [number]


async def test_columns_come_by_name_and_those_that_are_not_wanted_or_not_there_do_no_harm(subject: Subject) -> None:
    subject.load(ACCOUNT, [StoredRow("C1", {"balance": 1.0, "visits": 2, "active": True, "city": "Oslo"})])
    wanted = FeatureView(
        "account",
        CUSTOMER,
        RowLayout((Column("city", DType.STRING), Column("unheard_of", DType.FLOAT), Column("balance", DType.FLOAT))),
    )
    assert await subject.values(wanted, "C1") == ["Oslo", None, 1.0]


async def test_event_times_are_those_of_each_value(subject: Subject) -> None:
    subject.load(ACCOUNT, [StoredRow("C1", {"balance": 1.0}, 1_700_000_000.25, {"visits": 1_600_000_000.0})])
    row = (await subject.read(ACCOUNT, "C1"))["C1"]
    assert isinstance(row, FeatureRow)
    assert [ACCOUNT.layout.event_time(row, at) for at in (0, 1)] == [1_700_000_000.25, 1_600_000_000.0]
    assert row.event_time == 1_600_000_000.0


async def test_a_value_of_another_type_spoils_its_own_row_only(subject: Subject) -> None:
    stored = FeatureView("account", CUSTOMER, RowLayout((Column("balance", DType.STRING),)))
    subject.load(stored, [StoredRow("C1", {"balance": "sEcReT"}), StoredRow("C2", {"balance": None})])
    answers = await subject.read(ACCOUNT, "C1", "C2", "C3")
    assert isinstance(answers["C1"], StoreAnswerInvalid)
    assert "sEcReT" not in str(answers["C1"])
    assert isinstance(answers["C2"], FeatureRow)
    assert answers["C3"] is None


async def test_views_hold_rows_of_their_own(subject: Subject) -> None:
    subject.load(ACCOUNT, [StoredRow("C1", {"visits": 1})])
    subject.load(OTHER, [StoredRow("C1", {"visits": 2}), StoredRow("C2", {})])
    assert (await subject.values(ACCOUNT, "C1"))[1] == 1
    assert (await subject.values(OTHER, "C1"))[1] == 2
    assert await subject.read(ACCOUNT, "C2") == {"C2": None}


async def test_a_write_is_visible_to_the_next_read(subject: Subject) -> None:
    for number in range(5):
        subject.load(ACCOUNT, [StoredRow("C1", {"visits": number})])
        assert (await subject.values(ACCOUNT, "C1"))[1] == number
    subject.load(ACCOUNT, [])
    assert await subject.read(ACCOUNT, "C1") == {"C1": None}


async def test_reads_at_the_same_time_do_not_mix_up_their_answers(subject: Subject) -> None:
    subject.load(ACCOUNT, [StoredRow(f"C{number}", {"visits": number}) for number in range(50)])
    values = await asyncio.gather(*(subject.values(ACCOUNT, f"C{number}") for number in range(50)))
    assert [one[1] for one in values] == list(range(50))


async def test_a_read_that_is_cancelled_does_not_hurt_the_next(subject: Subject) -> None:
    subject.load(ACCOUNT, [StoredRow("C1", {"visits": 1})])
    reading = asyncio.create_task(subject.values(ACCOUNT, "C1"))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert (await subject.values(ACCOUNT, "C1"))[1] == 1
