"""Whatever comes of a request to the real app over a real socket, its place is free again."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.clock import SystemClock
from features.stores.memory import MemoryStore
from service.app import create_app
from service.door import Door
from service.server import Server
from service.settings import Platform, Settings
from service.wiring import Service, running_service

pytestmark = pytest.mark.anyio

INSTANCE = {"customer_id": "C1", "merchant_id": "M1", "amount": 8.0}
GOOD = json.dumps({"instances": [INSTANCE]}).encode()
BRIEF = json.dumps({"instances": [INSTANCE], "parameters": {"timeout_ms": 1e-9}}).encode() + b" " * 20_000  # large
JSON = {"content-type": "application/json"}


class Fickle(MemoryStore):
    """A store that fails, or never answers, for certain customers."""

    async def read(self, view: Any, keys: Any, deadline: Any) -> Any:
        if "C500" in keys:
            raise RuntimeError("a mistake")
        if "C504" in keys:
            await asyncio.Event().wait()
        return await super().read(view, keys, deadline)


@pytest.fixture
async def served(shop: Callable[..., Path], clock: Any) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    """A service and a client that reaches it through its port."""
    store = Fickle()
    then = clock.wall() - 100
    store.put("account", "C1", {"balance": 80.0, "city": "a"}, then)
    store.put("risk", "M1", {"rate": 33.0}, then)
    settings = Settings(bundle=str(shop()), deadline_s=5.0, max_body_bytes=30_000)
    async with running_service(settings, Platform(), store=store, clock=SystemClock()) as service:
        door = Door(
            service.pipeline.admission,
            service.clock,
            service.tally,
            service.turnstile,
            paths=service.prediction_paths,
            receive_timeout_s=5.0,
            keep_alive_s=600.0,
        )

        async def started() -> None:
            pass

        server = Server(create_app(service), door, started)
        listening = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        running = asyncio.create_task(server.serve([listening]))
        async with httpx.AsyncClient(base_url=url, timeout=30.0) as client:
            yield service, client
        server.drain(0.0)
        await running


def asking(**changes: Any) -> bytes:
    return json.dumps({"instances": [INSTANCE | changes]}).encode()


ASKED: dict[str, tuple[int, str, str, bytes, dict[str, str]]] = {
    "good": (200, "POST", "/predict", GOOD, JSON),
    "detailed": (200, "POST", "/predict/detailed", GOOD, JSON),
    "percent-encoded": (200, "POST", "/%70redict", GOOD, JSON),
    "with a query": (200, "POST", "/predict?a=b", GOOD, JSON),
    "not JSON": (400, "POST", "/predict", b"{", JSON),
    "budget is no number": (400, "POST", "/predict", GOOD, {**JSON, "x-request-timeout-ms": "soon"}),
    "unknown entity": (404, "POST", "/predict", asking(customer_id="C9"), JSON),
    "unknown path": (404, "POST", "/predictions", GOOD, JSON),
    "GET": (405, "GET", "/predict", b"", {}),
    "HEAD": (405, "HEAD", "/predict", b"", {}),
    "PUT": (405, "PUT", "/predict/detailed", GOOD, JSON),
    "too large": (413, "POST", "/predict", b"x" * 30_001, JSON),
    "media type": (415, "POST", "/predict", GOOD, {"content-type": "text/csv"}),
    "unknown field": (422, "POST", "/predict", asking(more=1), JSON),
    "mistake of ours": (500, "POST", "/predict", asking(customer_id="C500"), JSON),
    "budget is next to nothing": (400, "POST", "/predict", GOOD, {**JSON, "x-request-timeout-ms": "0.5"}),
    "timeout_ms is next to nothing": (422, "POST", "/predict", BRIEF, JSON),
    "store hangs": (504, "POST", "/predict", asking(customer_id="C504"), {**JSON, "x-request-timeout-ms": "100"}),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_its_place_is_free_again_and_the_next_request_is_answered(
    served: tuple[Service, httpx.AsyncClient], asked: tuple[int, str, str, bytes, dict[str, str]]
) -> None:
    service, client = served
    status, method, path, body, headers = asked
    for _ in range(2):
        answer = await client.request(method, path, content=body, headers=headers)
        assert answer.status_code == status
        assert service.pipeline.admission.in_flight == 0
    assert (await client.post("/predict", content=GOOD, headers=JSON)).status_code == 200
