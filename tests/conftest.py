"""What every test may use: the event loop of asyncio, a clock that stands still, and a way to let tasks run."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import settings

from features.clock import ManualClock

# A busy machine is slow, not wrong; the same examples on every run keep a red build red.
settings.register_profile("keyscore", deadline=None, derandomize=True, max_examples=200)
settings.load_profile("keyscore")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> ManualClock:
    """Stands at 1,000 s monotonic and 1,700,000,000 s wall."""
    return ManualClock()


@pytest.fixture
def settle() -> Callable[[], Awaitable[None]]:
    """Awaiting `settle()` lets every other task run until it waits for something that only the test can give."""

    async def settled() -> None:
        for _ in range(20):  # the longest chain is request -> flight -> read -> store, a few steps for each link
            await asyncio.sleep(0)

    return settled
