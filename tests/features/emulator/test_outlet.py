"""The bytes on their way to the client: frames are found, held bytes wait their turn."""

import asyncio
from typing import Any

import pytest

from features.emulator.fault_rules import parse_rule
from features.emulator.frames import GARBAGE, FrameBoundary, goaway
from features.emulator.outlet import Outlet

pytestmark = pytest.mark.anyio

FRAME = (5).to_bytes(3) + bytes(6) + b"hello"


class _Client(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("step", [1, 2, 9, 13, 14, 15, 28])
async def test_a_boundary_is_found_however_the_bytes_are_cut(step: int) -> None:
    stream = FRAME * 2
    boundary, ends = FrameBoundary(), []
    assert boundary.between
    for start in range(0, len(stream), step):
        found = boundary.advance(stream[start : start + step])
        if found >= 0:
            ends.append(start + found)
    assert ends == ([14] if step > 14 and step >= 28 else [14, 28])
    assert boundary.between


async def test_goaway_is_a_frame() -> None:
    assert goaway(refuse=True) == bytes([0, 0, 8, 7, 0, 0, 0, 0, 0]) + bytes(8)
    assert goaway(refuse=False) == bytes([0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF]) + bytes(4)


async def test_a_frame_goes_in_where_another_ends() -> None:
    client = _Client()
    outlet = Outlet(client)
    outlet.write(FRAME[:4])
    outlet.suffer(parse_rule({"kind": "malformed", "level": "connection"}))
    outlet.write(FRAME[4:9])
    assert client.written == FRAME[:9]
    outlet.write(FRAME[9:] + FRAME)
    assert client.written == FRAME + GARBAGE + FRAME
    outlet.suffer(parse_rule({"kind": "goaway"}))
    assert client.written.endswith(goaway(refuse=False)), "between two frames it goes out at once"


async def test_held_bytes_keep_their_order_and_go_out_when_healed() -> None:
    client = _Client()
    outlet = Outlet(client)
    outlet.suffer(parse_rule({"kind": "slow_drip", "every_ms": 60_000, "chunk_bytes": 2}))
    outlet.write(FRAME)
    outlet.suffer(parse_rule({"kind": "goaway"}))
    outlet.write(FRAME)
    assert client.written == FRAME[:2]
    outlet.heal()
    assert client.written == FRAME + goaway(refuse=False) + FRAME
    outlet.write(FRAME)
    assert client.written.endswith(FRAME * 2)


async def test_after_a_reset_nothing_is_passed_on() -> None:
    client = _Client()
    outlet = Outlet(client)
    outlet.suffer(parse_rule({"kind": "reset", "after_bytes": 10}))
    outlet.write(FRAME[:10])
    assert not client.aborted, "the reset comes within the answer, not behind it"
    outlet.write(FRAME[10:])
    outlet.write(FRAME)
    assert client.aborted
    assert client.written == FRAME[:10]
