"""A body that comes slowly after its request was let in costs the sender no budget, and is awaited for a while only."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.clock import ManualClock
from features.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[httpx.AsyncClient]]
BODY = b'{"instances": [["C1", "M1", 12.5]]}'
JSON = {"content-type": "application/json"}
AS_AT_FIRST = 'keyscore_requests_limit{partition="large"} 64.0'


async def test_an_upload_longer_than_the_deadline_is_answered_and_not_held_against_the_limit(
    serve: Serve,
    shop: Callable[..., Path],
    goods: MemoryStore,
    clock: ManualClock,
    settle: Callable[[], Awaitable[None]],
) -> None:
    client = await serve(shop(), goods, deadline_s=1e-9, max_large_in_flight=64)

    async def slow() -> AsyncIterator[bytes]:
        yield BODY[:10]
        await settle()  # far longer than a nanosecond
        clock.advance(3)
        yield BODY[10:]

    answer = await client.post("/predict", content=slow(), headers=JSON)
    assert answer.status_code == 200
    assert AS_AT_FIRST in (await client.get("/metrics")).text


async def test_an_upload_that_never_ends_is_408_at_the_time_for_requests_to_arrive_and_says_nothing_of_us(
    serve: Serve,
    shop: Callable[..., Path],
    goods: MemoryStore,
    clock: ManualClock,
    settle: Callable[[], Awaitable[None]],
) -> None:
    client = await serve(shop(), goods, receive_timeout_s=1e-9, deadline_s=300, max_large_in_flight=64)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            clock.advance(1_000)
            await settle()

    answer = await client.post("/predict", content=endless(), headers=JSON)
    assert answer.status_code == 408
    told: dict[str, Any] = answer.json()
    assert told["type"].endswith("body-too-slow")
    assert AS_AT_FIRST in (await client.get("/metrics")).text
