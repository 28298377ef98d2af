"""Where telemetry goes and nothing comes back."""

import asyncio
import os

import pytest

from load_tests.holes import black_holed_collector, live_collector, stalled_pipe

pytestmark = pytest.mark.anyio

POST = b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))


async def test_a_black_hole_takes_all_and_answers_nothing() -> None:
    async with black_holed_collector() as url:
        reader, writer = await connect(url)
        writer.write(POST)
        await writer.drain()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)
        writer.close()


async def test_a_live_collector_answers_every_push_on_one_connection() -> None:
    async with live_collector() as url:
        reader, writer = await connect(url)
        for _ in range(3):
            writer.write(POST)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()


def test_a_stalled_pipe_is_full_after_4_kb() -> None:
    with stalled_pipe() as pipe:
        os.set_blocking(pipe, False)
        assert os.write(pipe, b"x" * 10_000) == 4096
        with pytest.raises(BlockingIOError):
            os.write(pipe, b"x")
