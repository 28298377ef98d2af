"""Faults that change what an answer says."""

import math
from typing import Any

import grpc
import pytest

from features.clock import SystemClock
from features.emulator import Emulator

pytestmark = pytest.mark.anyio

TRUE = {"balance": 1.25, "visits": 2**53 + 2, "city": "Zürich 1", "active": False}
NUMERIC = ("balance", "visits")


async def test_partial_leaves_features_out(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "partial"}])
    found = [client.values(await client.fetch()) for _ in range(8)]
    assert all(values.items() <= TRUE.items() for values in found)
    assert 8 < sum(map(len, found)) < 24
    emulator.set_faults([{"kind": "partial", "part": 1}])
    assert client.values(await client.fetch()) == {}


async def test_partial_leaves_keys_out(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "partial", "leave_out": "keys", "part": 1, "keys": ["C2"]}])
    messages = await client.stream(keys=["C1", "C2", "C3"])
    assert sorted(data.data_key.key for message in messages for data in message.data) == ["C1", "C3"]
    assert not any(message.data_keys_with_error for message in messages)
    response = await client.fetch(key="C2")
    assert response.WhichOneof("format") is None


async def test_wrong_types(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "wrong_type"}])
    values = {"balance": "1.25", "visits": str(2**53 + 2), "city": 8.0, "active": "False"}
    assert client.values(await client.fetch()) == values
    emulator.set_faults([{"kind": "wrong_type", "features": ["balance"]}])
    assert client.values(await client.fetch()) == {**TRUE, "balance": "1.25"}
    assert set(client.values(await client.fetch(key="empty")).values()) == {None}


async def test_wrong_entity_answers_for_another_key(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "wrong_entity", "keys": ["C1", '["C1","M1"]', "only"]}])
    response = await client.fetch(key="C1")
    assert response.data_key.key == "C0"
    assert client.values(response)["balance"] == 0.25
    assert (await client.fetch(key=["C1"])).data_key.composite_key.parts == ["C0"]
    (message,) = await client.stream(keys=["C1", "C2"])
    found = {data.data_key.key: client.values(data)["balance"] for data in message.data}
    assert found == {"C0": 0.25, "C2": 2.25}
    assert (await client.fetch("single", "only")).data_key.key == "_another", "there is no other row"


async def test_a_composite_key_is_answered_by_another_composite_key(emulator: Emulator, client: Any) -> None:
    key = {"composite_key": {"parts": ["A", "B"]}}
    await client.write("pair", [{"data_key": key, "features": [{"name": "count", "value": {"int64_value": 8}}]}])
    emulator.set_faults([{"kind": "wrong_entity"}])
    response = await client.fetch("pair", ("C1", "M1"))
    assert list(response.data_key.composite_key.parts) == ["A", "B"]
    assert client.values(response) == {"count": 8}


async def test_wrong_entity_may_be_disguised(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "wrong_entity", "disguised": True}])
    response = await client.fetch(key="C1")
    assert not response.HasField("data_key")
    assert client.values(response)["balance"] == 0.25
    (message,) = await client.stream(keys=["C1"])
    assert message.data[0].data_key.key == "C1"
    assert client.values(message.data[0])["balance"] == 0.25


async def test_malformed_bytes_do_not_parse(emulator: Emulator, client: Any) -> None:
    """Which grpc.aio hands to its caller as None, not as an error."""
    emulator.set_faults([{"kind": "malformed"}])
    assert await client.fetch() is None
    assert await client.stream() == [None]


async def test_empty_answers(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "empty"}])
    assert (await client.fetch()).WhichOneof("format") is None
    (message,) = await client.stream(keys=["C1"])
    assert message.data[0].data_key.key == "C1"
    assert message.data[0].WhichOneof("format") is None
    emulator.set_faults([{"kind": "empty", "what": "values", "features": ["city"]}])
    assert client.values(await client.fetch()) == {**TRUE, "city": None}


async def test_an_oversized_answer_is_more_than_a_client_takes_as_shipped(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "oversized"}])
    for call in (client.fetch, client.stream):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    emulator.set_faults([{"kind": "oversized", "bytes": 1000}])
    assert len(client.values(await client.fetch())["_padding"]) == 1000


async def test_duplicate_features_where_the_last_one_is_true(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "duplicate_features"}])
    response = await client.fetch()
    assert [pair.name for pair in response.key_values.features] == [*TRUE, *TRUE]
    assert client.values(response) == TRUE
    decoys = [pair.value for pair in list(response.key_values.features)[:4]]
    assert (decoys[0].double_value, decoys[1].int64_value, decoys[2].string_value) == (-1, -1, "Zürich 1?")
    assert decoys[3].bool_value is True


async def test_unknown_features(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "unknown_features", "count": 2}])
    assert client.values(await client.fetch()) == {**TRUE, "_unknown_0": 0, "_unknown_1": 1}


async def test_reordered_features(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "reordered_features"}])
    orders = {tuple(pair.name for pair in (await client.fetch()).key_values.features) for _ in range(8)}
    assert len(orders) > 1
    assert client.values(await client.fetch()) == TRUE


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
async def test_floats_that_are_not_finite(emulator: Emulator, client: Any, value: str) -> None:
    emulator.set_faults([{"kind": "non_finite", "value": value}])
    found = client.values(await client.fetch())
    expected = float(value)
    assert math.isnan(found["balance"]) if value == "nan" else found["balance"] == expected
    assert {**found, "balance": 1.25} == TRUE


@pytest.mark.parametrize(
    ("rule", "shift_s"),
    [({"kind": "stale", "age_s": 600}, -600), ({"kind": "future", "ahead_s": 60}, 60)],
)
async def test_times_that_are_wrong(emulator: Emulator, client: Any, rule: dict[str, Any], shift_s: float) -> None:
    emulator.set_faults([{**rule, "features": ["balance"]}])
    pairs = (await client.fetch()).key_values.features
    assert abs(pairs[0].value.metadata.generate_time.ToSeconds() - SystemClock().wall() - shift_s) < 30
    assert pairs[1].value.metadata.generate_time.ToSeconds() == 1_700_000_001


async def test_faults_add_up_in_their_order(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "unknown_features", "count": 1}, {"kind": "wrong_type", "features": ["_unknown_0"]}])
    assert client.values(await client.fetch())["_unknown_0"] == "0"


async def test_in_a_stream_a_fault_touches_the_keys_it_names(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "wrong_type", "keys": ["C2"], "features": ["balance"]}])
    (message,) = await client.stream(keys=["C1", "C2"])
    found = {data.data_key.key: client.values(data)["balance"] for data in message.data}
    assert found == {"C1": 1.25, "C2": "2.25"}


async def test_without_faults_everything_is_true_again(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "empty"}])
    await client.fetch()
    emulator.set_faults([])
    assert client.values(await client.fetch()) == TRUE
