"""Where telemetry goes and nothing comes back: a collector that never answers, and a stdout that nobody reads."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

_PIPE_BYTES: Final = 4096  # the least that Linux grants; full at once


@asynccontextmanager
async def black_holed_collector() -> AsyncIterator[str]:
    """The base URL of an OTLP collector that takes every connection and every byte, and never answers."""
    writers: set[asyncio.StreamWriter] = set()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        while await reader.read(65_536):
            pass

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.close()


@asynccontextmanager
async def live_collector() -> AsyncIterator[str]:
    """The base URL of an OTLP collector that takes everything and says so."""
    ok: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
    writers: set[asyncio.StreamWriter] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].partition(b"\r")[0]
                await reader.readexactly(int(length or 0))
                writer.write(ok)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.close()


@contextmanager
def stalled_pipe() -> Iterator[int]:
    """The writing end of a pipe of 4 kB that nobody reads, for a process's stdout."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    try:
        yield writing
    finally:
        os.close(writing)
        os.close(reading)
