"""The routing header must name the view of the request."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest

from features.emulator import Emulator
from features.emulator.routing import Routing, read_routing

pytestmark = pytest.mark.anyio

VIEW = "projects/p/locations/l/featureOnlineStores/s/featureViews/account"


@pytest.mark.parametrize(
    ("header", "routing"),
    [
        (f"feature_view={VIEW}", Routing.RIGHT),
        (f"feature_view={quote(VIEW, safe='')}", Routing.RIGHT),
        (f"other=1&feature_view={VIEW}", Routing.RIGHT),
        ("", Routing.EMPTY),
        (None, Routing.EMPTY),
        (f"feature_view={VIEW}2", Routing.WRONG),
        ("feature_view=", Routing.WRONG),
        (f"name={VIEW}", Routing.WRONG),
        ("nonsense", Routing.WRONG),
    ],
)
async def test_a_header_is_right_empty_or_wrong(header: str | None, routing: Routing) -> None:
    assert read_routing(header, VIEW) is routing


async def test_a_wrong_header_is_refused_and_counted(emulator: Emulator, client: Any) -> None:
    for call in (client.fetch(routing="feature_view=other"), client.stream(routing="feature_view=other")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert emulator.reads.routing_wrong == 2
    assert not emulator.reads.messages, "what is refused is not read"


@pytest.mark.parametrize("routing", ["", "none"])
async def test_an_empty_or_missing_header_is_counted_and_let_pass(
    emulator: Emulator, client: Any, routing: str
) -> None:
    await client.fetch(routing=routing)
    assert len(await client.stream(routing=routing)) == 1
    assert emulator.reads.routing_empty == 2


async def test_strict_routing_refuses_an_empty_header_too(store_path: Path, connect: Any) -> None:
    async with Emulator(store_path, rest_port=None, strict_routing=True) as emulator:
        client = connect(emulator.port)
        async with client.channel:
            await client.fetch()
            await client.stream()
            for call in (client.fetch(routing=""), client.stream(routing="none")):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call
                assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert emulator.reads.routing_empty == 2
