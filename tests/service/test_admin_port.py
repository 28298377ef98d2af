"""With an admin port there are two apps, and each answers its own paths only."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from features.clock import ManualClock
from features.stores.memory import MemoryStore
from service.app import create_admin_app, create_app
from service.settings import Platform, Settings
from service.wiring import running_service

pytestmark = pytest.mark.anyio

GOOD = {"instances": [["C1", "M1", 12.5]]}
MOVED = ("/metadata", "/metrics", "/docs", "/openapi.json", "/docs-assets/swagger-ui.css")
HEALTH = ("/livez", "/readyz")


@pytest.fixture
async def ports(
    shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Clients of the main and of the admin app of one service."""
    settings = Settings(bundle=str(shop()), admin_port=0)
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            running_service(settings, Platform(health_route="/ping"), store=goods, clock=clock)
        )
        yield tuple(  # type: ignore[misc]  # two of them
            [
                await stack.enter_async_context(
                    httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
                )
                for app in (create_app(service), create_admin_app(service))
            ]
        )


Ports = tuple[httpx.AsyncClient, httpx.AsyncClient]


async def test_the_main_port_answers_predictions_and_health_only(ports: Ports) -> None:
    main, _ = ports
    for path in ("/predict", "/predict/detailed"):
        assert (await main.post(path, json=GOOD)).status_code == 200
    for path in (*HEALTH, "/ping"):
        assert (await main.get(path)).status_code == 200
    for path in (*MOVED, "/other"):
        answer = await main.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "the paths are /predict, /predict/detailed, /livez, /readyz"


async def test_the_admin_port_answers_the_rest(ports: Ports) -> None:
    main, admin = ports
    for path in (*MOVED, *HEALTH):
        assert (await admin.get(path)).status_code == 200
    for path in ("/predict", "/predict/detailed"):
        answer = await admin.post(path, json=GOOD)
        assert answer.status_code == 404
        assert answer.json()["detail"] == "the paths are /livez, /readyz, /metadata, /metrics, /docs"
    assert (await main.post("/predict", json=GOOD)).status_code == 200
    assert 'route="/predict"' in (await admin.get("/metrics")).text  # both count into one place


async def test_the_document_on_the_admin_port_is_that_of_both(ports: Ports) -> None:
    _, admin = ports
    document = (await admin.get("/openapi.json")).json()
    assert set(document["paths"]) == {"/predict", "/predict/detailed", "/livez", "/readyz", "/metadata", "/metrics"}
    assert "admin port" in document["info"]["description"]
    assert '"supportedSubmitMethods": []' in (await admin.get("/docs")).text  # the page cannot reach the other port
