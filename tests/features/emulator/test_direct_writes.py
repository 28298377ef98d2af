"""FeatureViewDirectWrite puts values, with their times, into the embedded store's file."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from features.clock import ManualClock
from features.emulator import Emulator
from features.emulator.codes import Refused
from features.emulator.direct_write import apply
from features.stores.sqlite_writer import SqliteWriter
from features.stores.vertex_messages import V1, V1BETA1, DirectWriteRequest

pytestmark = pytest.mark.anyio


def _timed(name: str, value: dict[str, Any], seconds: int) -> dict[str, Any]:
    return {"name": name, "value_and_timestamp": {"value": value, "timestamp": {"seconds": seconds}}}


@pytest.mark.parametrize("service", [V1, V1BETA1])
async def test_what_is_written_is_read_with_its_time(client: Any, service: str) -> None:
    features = [
        _timed("balance", {"double_value": 7.5}, 1_800_000_000),
        _timed("city", {}, 1_800_000_001),
        {"name": "visits", "value": {"int64_value": 7}},
    ]
    (answer,) = await client.write("account", [{"data_key": {"key": "C1"}, "features": features}], service=service)
    assert answer.status.code == 0
    assert [entry.data_key.key for entry in answer.write_responses] == ["C1"]
    assert answer.write_responses[0].HasField("online_store_write_time")
    response = await client.fetch(key="C1")
    assert client.values(response) == {"balance": 7.5, "visits": 7, "city": None, "active": False}
    seconds = [pair.value.metadata.generate_time.seconds for pair in response.key_values.features]
    assert seconds[0] == 1_800_000_000
    assert seconds[2] == 1_800_000_001
    assert seconds[3] == 1_700_000_001, "what is not written keeps its time"


async def test_an_undated_value_is_dated_now(store_path: Path, connect: Any, clock: ManualClock) -> None:
    async with Emulator(store_path, rest_port=None, clock=clock) as emulator:
        client = connect(emulator.port)
        async with client.channel:
            features = [{"name": "score", "value": {"double_value": 2.0}}]
            (answer,) = await client.write("single", [{"data_key": {"key": "new"}, "features": features}])
            assert answer.write_responses[0].online_store_write_time.seconds == 1_700_000_000
            response = await client.fetch("single", "new")
    assert response.key_values.features[0].value.metadata.generate_time.seconds == 1_700_000_000


async def test_a_composite_key_is_written(client: Any) -> None:
    key = {"composite_key": {"parts": ["C9", "M9"]}}
    await client.write("pair", [{"data_key": key, "features": [{"name": "count", "value": {"int64_value": 1}}]}])
    assert client.values(await client.fetch("pair", ("C9", "M9"))) == {"count": 1}


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ([{"name": "height", "value": {"double_value": 1.0}}], "no feature 'height'"),
        ([{"name": "visits", "value": {"double_value": 1.5}}], "does not hold a int"),
        ([{"name": "city", "value": {"bytes_value": b"x"}}], "holds no bytes_value"),
    ],
)
async def test_an_entity_is_written_as_a_whole_or_not_at_all(
    client: Any, features: list[dict[str, Any]], words: str
) -> None:
    good = {"name": "balance", "value": {"double_value": 5.0}}
    failed, written = await client.write(
        "account",
        [
            {"data_key": {"key": "C1"}, "features": [good, *features]},
            {"data_key": {"key": "C2"}, "features": [good]},
        ],
    )
    assert failed.status.code == 3
    assert words in failed.status.message
    assert [entry.data_key.key for entry in failed.write_responses] == ["C1"]
    assert not failed.write_responses[0].HasField("online_store_write_time")
    assert [entry.data_key.key for entry in written.write_responses] == ["C2"]
    assert client.values(await client.fetch(key="C1"))["balance"] == 1.25
    assert client.values(await client.fetch(key="C2"))["balance"] == 5.0


async def test_a_key_of_the_wrong_shape_is_answered_by_a_status(client: Any) -> None:
    (failed,) = await client.write("pair", [{"data_key": {"key": "C1"}, "features": []}])
    assert failed.status.code == 3


async def test_a_missing_view_ends_the_stream(client: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.write("nowhere", [{"data_key": {"key": "C1"}}])
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_faults_strike_writes_too(emulator: Emulator, client: Any) -> None:
    rule = {"kind": "error", "code": "RESOURCE_EXHAUSTED", "method": "FeatureViewDirectWrite", "keys": ["C1"]}
    emulator.set_faults([rule])
    features = [{"name": "balance", "value": {"double_value": 5.0}}]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.write("account", [{"data_key": {"key": "C1"}, "features": features}])
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await client.write("account", [{"data_key": {"key": "C2"}, "features": features}])
    assert client.values(await client.fetch(key="C1"))["balance"] == 1.25
    assert emulator.reads.messages["FeatureViewDirectWrite"] == 2


async def test_a_file_that_somebody_else_keeps_locked_is_unavailable(
    client: Any, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.stores.sqlite_writer._BUSY_TIMEOUT_S", 0.01)
    with SqliteWriter(store_path), pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.write("account", [{"data_key": {"key": "C1"}}])
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "locked" in refused.value.details()


async def test_a_view_that_goes_away_meanwhile_is_not_found(store_path: Path, clock: ManualClock) -> None:
    with pytest.raises(Refused, match="NOT_FOUND"):
        apply(store_path, "nowhere", DirectWriteRequest(), clock)
