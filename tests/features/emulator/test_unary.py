"""FetchFeatureValues answers one entity, as the service does."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest

from features.emulator import Emulator
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.stores.vertex_messages import KEY_VALUE, PROTO_STRUCT, V1, V1BETA1, FetchRequest, FetchResponse
from features.values import DType

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("service", [V1, V1BETA1])
@pytest.mark.parametrize("data_format", [0, KEY_VALUE])
async def test_each_type_has_its_field_and_each_value_its_time(client: Any, service: str, data_format: int) -> None:
    response = await client.fetch(key="C1", service=service, data_format=data_format)
    pairs = list(response.key_values.features)
    assert [(pair.name, pair.value.WhichOneof("value")) for pair in pairs] == [
        ("balance", "double_value"),
        ("visits", "int64_value"),
        ("city", "string_value"),
        ("active", "bool_value"),
    ]
    assert client.values(response) == {"balance": 1.25, "visits": 2**53 + 2, "city": "Zürich 1", "active": False}
    times = [pair.value.metadata.generate_time for pair in pairs]
    assert [(time.seconds, time.nanos) for time in times] == [
        (1_700_000_001, 500_000_000),
        (1_700_000_001, 500_000_000),
        (1_600_000_000, 0),
        (1_700_000_001, 500_000_000),
    ]
    assert not response.HasField("data_key")


async def test_a_null_is_a_value_of_no_type_and_an_undated_row_says_no_time(client: Any) -> None:
    response = await client.fetch(key="empty")
    assert client.values(response) == {"balance": None, "visits": None, "city": None, "active": None}
    assert all(pair.HasField("value") for pair in response.key_values.features)
    assert not any(pair.value.HasField("metadata") for pair in response.key_values.features)


async def test_a_struct_makes_floats_of_integers_and_says_no_times(client: Any) -> None:
    response = await client.fetch(key="C1", data_format=PROTO_STRUCT)
    assert dict(response.proto_struct) == {
        "balance": 1.25, "visits": float(2**53 + 2), "city": "Zürich 1", "active": False
    }  # fmt: skip


@pytest.mark.parametrize(("view", "key"), [("account", "nobody"), ("nowhere", "C1"), ("pair", ("C1", "M2"))])
async def test_a_missing_entity_and_a_missing_view_sound_alike(client: Any, view: str, key: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.fetch(view, key)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert refused.value.details() == "Requested entity was not found."


async def test_a_composite_key_is_its_parts_in_order(client: Any) -> None:
    assert client.values(await client.fetch("pair", ("C1", "M1"))) == {"count": 3}


async def test_a_single_key_may_come_as_a_composite_key_of_one_part(client: Any) -> None:
    assert client.values(await client.fetch("account", ["C1"])) == client.values(await client.fetch("account", "C1"))


@pytest.mark.parametrize(
    ("view", "key", "words"),
    [
        ("account", ("C", "1"), "has 2 part(s), the view's key has 1: customer_id"),
        ("pair", "C1", "has 1 part(s), the view's key has 2: customer_id, merchant_id"),
        ("account", "", "data key is empty"),
        ("account", (), "data key is empty"),
    ],
)
async def test_a_key_of_the_wrong_shape_is_an_invalid_argument(client: Any, view: str, key: Any, words: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.fetch(view, key)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in refused.value.details()


async def test_an_unknown_format_is_an_invalid_argument(client: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.fetch(data_format=9)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_key_may_come_in_v1beta1s_old_field(client: Any) -> None:
    call = client.channel.unary_unary(
        V1BETA1 + "FetchFeatureValues", FetchRequest.SerializeToString, FetchResponse.FromString
    )
    response = await call(FetchRequest(feature_view="any/prefix/will/do/account", id="C2"))
    assert client.values(response)["balance"] == 2.25


async def test_other_methods_are_unimplemented(client: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.channel.unary_unary(V1 + "SearchNearestEntities")(b"")
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_write_is_visible_to_the_next_read(client: Any, store_path: Path) -> None:
    assert client.values(await client.fetch(key="C1"))["balance"] == 1.25
    with SqliteWriter(store_path) as writer:
        writer.put("account", "C1", {"balance": 9.5}, 1_800_000_000.0)
        writer.put("account", "new", {"visits": 1})
        assert client.values(await client.fetch(key="C1"))["balance"] == 1.25, "not committed yet"
    response = await client.fetch(key="C1")
    assert client.values(response) == {"balance": 9.5, "visits": 2**53 + 2, "city": "Zürich 1", "active": False}
    assert response.key_values.features[0].value.metadata.generate_time.seconds == 1_800_000_000
    assert client.values(await client.fetch(key="new")) == {"balance": None, "visits": 1, "city": None, "active": None}


async def test_a_view_that_is_loaded_anew_shows_its_new_columns(client: Any, store_path: Path) -> None:
    await client.fetch(key="C1")
    with SqliteWriter(store_path) as writer:
        writer.replace_view("account", ("id",), {"score": DType.FLOAT}, [StoredRow("C1", {"score": 0.5})])
    assert client.values(await client.fetch(key="C1")) == {"score": 0.5}


async def test_a_file_that_is_replaced_is_noticed_and_one_that_is_gone_is_unavailable(
    client: Any, store_path: Path
) -> None:
    await client.fetch(key="C1")
    other = store_path.with_name("other.sqlite")
    with SqliteWriter(other) as writer:
        writer.replace_view("account", ("id",), {"score": DType.FLOAT}, [StoredRow("C1", {"score": 0.5})])
    for log in store_path.parent.glob("store.sqlite-*"):
        log.unlink()
    other.replace(store_path)
    assert client.values(await client.fetch(key="C1")) == {"score": 0.5}
    store_path.unlink()  # noqa: ASYNC240  # one file on a local disk
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.fetch(key="C1")
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_file_that_is_damaged_is_unavailable(client: Any, store_path: Path) -> None:
    await client.fetch(key="C1")
    with closing(sqlite3.connect(store_path)) as connection:
        connection.execute("DROP TABLE rows")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.fetch(key="C1")
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "no such table" in refused.value.details()


async def test_what_is_kept_is_bounded(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.emulator.rows._KEPT", 2)
    for number in range(5):
        assert client.values(await client.fetch(key=f"C{number}"))["balance"] == number + 0.25


async def test_reads_and_connections_are_counted(emulator: Emulator, client: Any) -> None:
    await client.fetch(key="C1")
    await client.fetch(key="C1")
    await client.fetch("pair", ("C1", "M1"))
    with pytest.raises(grpc.aio.AioRpcError):
        await client.fetch(key="nobody")
    assert emulator.reads.to_json() == {
        "views": {"account": {"C1": 2, "nobody": 1}, "pair": {'["C1","M1"]': 1}},
        "messages": {"FetchFeatureValues": 4},
        "connections": 1,
        "routing": {"wrong": 0, "empty": 0},
    }
    assert emulator.reads.of("account", "C1") == 2
    assert emulator.reads.of("nowhere", "C1") == 0
    emulator.reads.clear()
    assert emulator.reads.of("account", "C1") == emulator.reads.connections == 0
