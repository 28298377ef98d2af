"""What is being served is told as it was understood."""

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


async def test_metadata_tells_the_spec_with_its_defaults_filled_in(client: httpx.AsyncClient) -> None:
    told = (await client.get("/metadata")).json()
    assert told["bundle"]["bundle"] == "shop"
    assert told["model"] == {"task": "classification", "classes": ["0", "1"], "outputs": 2}
    assert [key["name"] for key in told["keys"]] == ["customer_id", "merchant_id"]
    assert told["request"] == [{"name": "amount", "dtype": "float", "minimum": 0, "maximum": 1000000}]
    assert told["views"][0]["cache"] == {
        "ttl_s": 2, "stale_while_revalidate_s": 10, "stale_if_error_s": 300, "negative_ttl_s": 1,
    }  # fmt: skip
    by_name = {feature["name"]: feature for feature in told["features"]}
    assert by_name["visits"]["default"] == 0
    assert by_name["visits"]["absent"]["not_found"] == "default"
    assert by_name["amount"] == {"name": "amount", "dtype": "float", "from": "request.amount"}
    assert by_name["amount_to_balance"]["derive"] == {"ratio": ["amount", "balance"]}
    assert told["limits"]["max_body_bytes"] == 2000
