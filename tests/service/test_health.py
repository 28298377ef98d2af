"""Alive and ready are two questions, and neither asks the store."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from features.clock import ManualClock
from features.errors import StoreUnavailable
from features.stores.memory import MemoryStore
from service.app import create_app
from service.settings import Platform, Settings
from service.wiring import running_service

pytestmark = pytest.mark.anyio


async def test_both_are_answered_without_a_read_whatever_the_store_does(
    serve: Callable[..., Awaitable[httpx.AsyncClient]], shop: Callable[..., Path], goods: MemoryStore
) -> None:
    client = await serve(shop(), goods)
    goods.fail(StoreUnavailable("down"), reads=100)
    assert (await client.get("/livez")).json() == {"status": "alive"}
    assert (await client.get("/readyz")).json() == {"status": "ready"}
    assert goods.reads == []


async def test_when_the_service_stops_it_is_alive_but_not_ready(
    shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock
) -> None:
    async with running_service(Settings(bundle=str(shop())), Platform(), store=goods, clock=clock) as service:
        app = create_app(service)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/livez")).status_code == 200
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:keyscore:problem:not-ready"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
