"""The page opens without the internet."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from features.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(
    serve: Callable[..., Awaitable[httpx.AsyncClient]], shop: Callable[..., Path], goods: MemoryStore
) -> httpx.AsyncClient:
    return await serve(shop(), goods, max_body_bytes=2000)


async def test_the_page_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.text.replace("http-equiv", "")
    assert '"//' not in page.text
    assert "'//" not in page.text
    for asset in ("docs-assets/swagger-ui-bundle.js", "docs-assets/swagger-ui.css", "docs-assets/favicon-32x32.png"):
        assert asset in page.text
        assert (await client.get(f"/{asset}")).status_code == 200
    assert "openapi.json" in page.text
