"""StreamingFetchFeatureValues answers many entities of one view, in any order, and stays open."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from features.emulator import Emulator
from features.stores.vertex_messages import DataKey, StreamingRequest

pytestmark = pytest.mark.anyio

VIEW = "projects/p/locations/l/featureOnlineStores/s/featureViews/account"
KEYS = [f"C{n}" for n in range(10)]


async def test_every_key_is_answered_once_under_its_name_in_several_messages(emulator: Emulator, client: Any) -> None:
    messages = await client.stream(keys=KEYS)
    assert [len(message.data) for message in messages] == [3, 3, 3, 1]
    answers = [(data.data_key.key, client.values(data)["balance"]) for message in messages for data in message.data]
    assert sorted(answers) == [(key, number + 0.25) for number, key in enumerate(KEYS)]
    assert [key for key, _ in answers] != KEYS, "the service keeps no order, so the emulator must not either"
    assert not any(message.HasField("status") for message in messages)
    assert emulator.reads.messages == {"StreamingFetchFeatureValues": 1}
    assert emulator.reads.of("account", "C3") == 1


async def test_absent_keys_are_named_beside_a_status_and_the_others_are_answered(client: Any) -> None:
    failed, answered = await client.stream(keys=["C1", "nobody", "C2", "no one"])
    assert (failed.status.code, failed.status.message) == (5, "Requested entity was not found.")
    assert [key.key for key in failed.data_keys_with_error] == ["nobody", "no one"]
    assert not failed.data
    assert sorted(data.data_key.key for data in answered.data) == ["C1", "C2"]


async def test_keys_of_the_wrong_shape_have_a_status_of_their_own(client: Any) -> None:
    messages = await client.stream(keys=["nobody", ("C", "1"), "C1"])
    assert sorted(message.status.code for message in messages) == [0, 3, 5]


async def test_a_missing_view_concerns_the_keys_not_the_stream(client: Any) -> None:
    (failed,) = await client.stream("nowhere", keys=["C1", "C2"])
    assert failed.status.code == 5
    assert len(failed.data_keys_with_error) == 2


async def test_composite_keys_come_back_as_they_went(client: Any) -> None:
    messages = await client.stream("pair", keys=[("C1", "M1"), ("C1", "M2")])
    failed, answered = messages
    assert list(failed.data_keys_with_error[0].composite_key.parts) == ["C1", "M2"]
    assert list(answered.data[0].data_key.composite_key.parts) == ["C1", "M1"]
    assert client.values(answered.data[0]) == {"count": 3}


async def test_the_stream_stays_open_until_the_client_half_closes(emulator: Emulator, client: Any) -> None:
    stream = client.open_stream()
    for key in ("C1", "nobody", "C2"):
        await stream.write(StreamingRequest(feature_view=VIEW, data_keys=[DataKey(key=key)]))
        message = await stream.read()
        assert [data.data_key.key for data in message.data] == ([] if key == "nobody" else [key])
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF
    assert emulator.reads.messages == {"StreamingFetchFeatureValues": 3}


async def test_a_slow_message_holds_up_no_other(emulator: Emulator, client: Any) -> None:
    emulator.set_faults([{"kind": "latency", "ms": 30, "keys": ["C1"]}])
    stream = client.open_stream()
    for key in ("C1", "C2"):
        await stream.write(StreamingRequest(feature_view=VIEW, data_keys=[DataKey(key=key)]))
    await stream.done_writing()
    assert [message.data[0].data_key.key async for message in stream] == ["C2", "C1"]


async def test_a_message_without_keys_has_no_answer(client: Any) -> None:
    assert await client.stream(keys=[]) == []


async def test_the_same_seed_gives_the_same_order(store_path: Path, connect: Any) -> None:
    orders = []
    for seed in (1, 1, 2):
        async with Emulator(store_path, rest_port=None, seed=seed) as emulator:
            client = connect(emulator.port)
            async with client.channel:
                (message,) = await client.stream(keys=KEYS)
                orders.append([data.data_key.key for data in message.data])
    assert orders[0] == orders[1] != orders[2]
