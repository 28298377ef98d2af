"""Small bundles to load, and services that serve them as processes of their own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from load_tests import bundles
from load_tests.bench import Bench
from load_tests.bundles import Served


@pytest.fixture(scope="session")
def small_plain(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """The plain bundle with 300 entities and a small model."""
    return bundles.plain(300, lambda _: None, folder=tmp_path_factory.mktemp("plain"), trees=20)


@pytest.fixture(scope="session")
def demo_served(small_demo: Any) -> Served:
    """The small demo, as the load tests know it."""
    return Served(small_demo.bundle, small_demo.store)


@pytest.fixture
async def start_bench() -> AsyncIterator[Callable[..., Awaitable[Bench]]]:
    """`await start_bench(bundle=…)`: a bench that ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(**chosen: Any) -> Bench:
            return await stack.enter_async_context(Bench.start(**chosen))

        yield start
