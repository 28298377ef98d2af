"""Many customers of the shop, some of them odd."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from features.clock import ManualClock
from features.errors import StoreAnswerInvalid
from features.stores.memory import MemoryStore


@pytest.fixture
def crowd(clock: ManualClock) -> MemoryStore:
    """400 customers and 60 merchants of the shop: null, old, damaged and half-known ones among them."""
    store, random = MemoryStore(), Random(6)  # noqa: S311  # to be repeated, not to be unguessable
    for at in range(400):
        customer, then = f"C{at}", clock.wall() - random.choice((10, 100, 5_000))
        account = {"balance": random.choice((None, random.uniform(0, 99))), "city": random.choice(("a", "b", None))}
        store.put("account", customer, account, then)
        if at % 5:
            store.put("activity", customer, {"visits": random.choice((None, 3, 70))}, then)
        if at % 40 == 7:
            store.spoil("account", customer, StoreAnswerInvalid("the row is damaged"))
    for at in range(60):
        store.put("risk", f"M{at}", {"rate": random.choice((None, 0.0, random.uniform(0, 99)))}, clock.wall() - 50)
    return store


@pytest.fixture
def orders() -> Callable[[int], list[dict[str, Any]]]:
    """`orders(n)`: instances of the shop; every twentieth or so names a customer or merchant whom nobody knows."""

    def make(size: int) -> list[dict[str, Any]]:
        random = Random(7)  # noqa: S311  # same
        return [
            {
                "customer_id": f"C{random.randrange(420)}",
                "merchant_id": f"M{random.randrange(62)}",
                "amount": random.choice((0, 0.1, random.uniform(0, 500))),
            }
            for _ in range(size)
        ]

    return make
