"""The adapter's own decisions: how to read, when to fall back, when a view is looked up again."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from features.clock import ManualClock, SystemClock
from features.deadline import Deadline
from features.emulator.emulator import Emulator
from features.errors import StoreAnswerInvalid, StoreError, StoreTimeout, StoreUnavailable, StoreViewUnreadable
from features.keys import KeyPart
from features.spec import Entity, FeatureView
from features.stores.base import ReadAnswer, ReadMode, RemoteStore
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.stores.vertex import VertexStore, region_of
from features.values import Column, DType, FeatureRow, RowLayout

pytestmark = pytest.mark.anyio

VIEW = FeatureView(
    "account",
    Entity("customer", (KeyPart("customer_id"),)),
    RowLayout((Column("balance", DType.FLOAT),)),
    source="projects/p/locations/us-central1/featureOnlineStores/s/featureViews/account",
)
NOBODY = FeatureView(
    "nobody",
    VIEW.entity,
    VIEW.layout,
    source="projects/p/locations/us-central1/featureOnlineStores/s/featureViews/nobody",
)


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Emulator]:
    path = tmp_path / "features.sqlite"
    with SqliteWriter(path) as writer:
        rows = [StoredRow(f"C{n}", {"balance": n / 2}, 1.7e9) for n in range(200)]
        writer.replace_view("account", ("customer_id",), {"balance": DType.FLOAT}, rows)
    async with Emulator(path) as running:
        yield running


def store_at(emulator: Emulator, mode: ReadMode = ReadMode.AUTO, view: FeatureView = VIEW) -> VertexStore:
    return VertexStore(
        [view],
        None,
        endpoint=f"127.0.0.1:{emulator.port}",
        rest_endpoint=f"127.0.0.1:{emulator.rest_port}",
        mode=mode,
    )


def soon() -> Deadline:
    return Deadline.after(5.0, SystemClock())


def names(n: int) -> list[str]:
    return [f"C{number}" for number in range(n)]


async def test_one_key_is_a_unary_call_and_several_are_one_message_of_a_stream(emulator: Emulator) -> None:
    store = store_at(emulator)
    await store.open()
    await store.read(VIEW, names(1), soon())
    answers = await store.read(VIEW, names(100), soon())
    assert all(isinstance(answers[key], FeatureRow) for key in names(100))
    assert emulator.reads.messages == {"FetchFeatureValues": 1, "StreamingFetchFeatureValues": 1}
    assert emulator.reads.connections == 1
    await store.aclose()


@pytest.mark.parametrize("mode", [ReadMode.STREAMING, ReadMode.UNARY])
async def test_what_was_asked_for_is_there_before_its_rows_are_decoded(emulator: Emulator, mode: ReadMode) -> None:
    store = store_at(emulator, mode)
    assert isinstance(store, RemoteStore)
    await store.open()
    clock = ManualClock()
    decode = await store.ask(VIEW, names(100), Deadline.after(5.0, clock))
    await emulator.stop_serving()
    answers = await decode()
    assert all(isinstance(answers[key], FeatureRow) for key in names(100))
    clock.advance(5.0)
    with pytest.raises(StoreTimeout, match="too late to be decoded"):
        await decode()
    await store.aclose()


async def test_a_host_without_the_streaming_call_is_read_key_by_key_from_then_on(emulator: Emulator) -> None:
    emulator.set_faults([{"kind": "error", "code": "UNIMPLEMENTED", "method": "StreamingFetchFeatureValues"}])
    store = store_at(emulator)
    await store.open()
    for _ in range(2):
        answers = await store.read(VIEW, names(30), soon())
        assert all(isinstance(answers[key], FeatureRow) for key in names(30))
    assert emulator.reads.messages["FetchFeatureValues"] == 60
    assert emulator.reads.messages["StreamingFetchFeatureValues"] == 1
    await store.aclose()


async def test_where_streaming_was_asked_for_it_is_not_replaced(emulator: Emulator) -> None:
    emulator.set_faults([{"kind": "error", "code": "UNIMPLEMENTED", "method": "StreamingFetchFeatureValues"}])
    store = store_at(emulator, ReadMode.STREAMING)
    await store.open()
    with pytest.raises(StoreViewUnreadable):  # no fault of these two
        await store.read(VIEW, names(2), soon())
    await store.aclose()


async def test_a_view_that_does_not_exist_is_told_at_the_start(emulator: Emulator) -> None:
    store = store_at(emulator, view=NOBODY)
    with pytest.raises(StoreAnswerInvalid, match="featureViews/nobody does not exist"):
        await store.open()
    await store.aclose()


async def test_a_view_that_goes_away_is_told_from_unknown_entities_and_served_again_once_it_is_back(
    emulator: Emulator, tmp_path: Path
) -> None:
    store, clock = store_at(emulator), ManualClock()
    await store.open()
    (tmp_path / "features.sqlite").unlink()
    with SqliteWriter(tmp_path / "features.sqlite") as writer:
        writer.replace_view("other", ("id",), {"x": DType.FLOAT}, [])
    failure: StoreError | None = None
    for _ in range(200):
        try:
            await store.read(VIEW, [f"X{n}" for n in range(10)], Deadline.after(5.0, clock))
        except StoreAnswerInvalid as error:
            failure = error
            break
    assert isinstance(failure, StoreViewUnreadable)
    assert "does not exist" in str(failure)
    with SqliteWriter(tmp_path / "features.sqlite") as writer:
        writer.replace_view("account", ("customer_id",), {"balance": DType.FLOAT}, [StoredRow("C1", {"balance": 1.0})])
    clock.advance(30.0)
    answers: Mapping[str, ReadAnswer] = {}
    async with asyncio.timeout(30):
        while not answers:
            with suppress(StoreAnswerInvalid):
                answers = await store.read(VIEW, ["C1"], Deadline.after(5.0, clock))
            await asyncio.sleep(0)
    assert isinstance(answers["C1"], FeatureRow)
    await store.aclose()


async def test_a_store_that_is_down_does_not_keep_the_service_from_starting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = VertexStore([VIEW], None, endpoint="127.0.0.1:1", rest_endpoint="127.0.0.1:1")
    await store.open()
    assert "could not be looked up" in caplog.text
    for n_keys in (1, 2):
        with pytest.raises(StoreUnavailable):
            await store.read(VIEW, names(n_keys), soon())
    await store.aclose()


async def test_without_an_address_to_ask_the_log_says_that_views_are_not_looked_up(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    store = VertexStore([NOBODY], None, endpoint=f"127.0.0.1:{emulator.port}")
    await store.open()
    assert "not looked up" in caplog.text
    assert (await store.read(NOBODY, ["C1"], soon())) == {"C1": None}
    await store.aclose()


def test_the_region_is_part_of_the_resource_name() -> None:
    assert region_of(VIEW) == "us-central1"
    with pytest.raises(StoreAnswerInvalid, match="'account' needs `source: projects"):
        region_of(FeatureView("account", VIEW.entity, VIEW.layout, source="account"))


@pytest.mark.parametrize("fault", [{"kind": "malformed"}, {"kind": "oversized", "bytes": 3_000_000}], ids=repr)
async def test_a_key_whose_answer_spoils_a_batch_costs_the_others_nothing(
    emulator: Emulator, fault: dict[str, object]
) -> None:
    emulator.set_faults([{**fault, "keys": ["C3"]}])
    store = VertexStore(
        [VIEW],
        None,
        endpoint=f"127.0.0.1:{emulator.port}",
        rest_endpoint=f"127.0.0.1:{emulator.rest_port}",
        receive_limit_bytes=1_000_000,
    )
    await store.open()
    answers = await store.read(VIEW, names(6), soon())
    assert isinstance(answers["C3"], StoreAnswerInvalid)
    assert all(isinstance(answers[key], FeatureRow) for key in names(6) if key != "C3")
    await store.aclose()


async def test_not_found_as_the_end_of_a_stream_is_not_found_for_all_its_keys(emulator: Emulator) -> None:
    emulator.set_faults([{"kind": "error", "code": "NOT_FOUND"}])
    store = store_at(emulator)
    await store.open()
    assert await store.read(VIEW, names(2), soon()) == {"C0": None, "C1": None}
    await store.aclose()


async def test_a_host_is_asked_for_a_stream_again_after_a_while(emulator: Emulator) -> None:
    emulator.set_faults([{"kind": "error", "code": "UNIMPLEMENTED", "times": 1}])
    clock = ManualClock()
    store = store_at(emulator)
    await store.open()
    for _ in range(2):
        await store.read(VIEW, names(2), Deadline.after(5.0, clock))
    assert emulator.reads.messages == {"StreamingFetchFeatureValues": 1, "FetchFeatureValues": 4}
    clock.advance(60.0)
    await store.read(VIEW, names(2), Deadline.after(5.0, clock))
    assert emulator.reads.messages == {"StreamingFetchFeatureValues": 2, "FetchFeatureValues": 4}
    await store.aclose()
