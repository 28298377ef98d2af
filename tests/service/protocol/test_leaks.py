"""However a connection ends, nothing of it is left: no permit, task, connection or file, nor work for the collector."""

import asyncio
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
SMALL = HEAD + b"Content-Length: 5\r\n\r\n"
WAITING = HEAD + b"X-Wait: 1\r\nContent-Length: 5\r\n\r\nabcde"


async def nothing_is_left(site: Any) -> None:
    state = site.server.server_state
    await site.until(lambda: not (site.door.connections or state.connections or state.tasks))
    assert site.admission.in_flight == 0
    assert site.door.held_bytes == 0


LEFT_AT = {
    "once connected": [],
    "in the request line": [b"POST /pre"],
    "in a header": [HEAD + b"X-A: "],
    "before the body": [SMALL],
    "in the body": [SMALL, b"ab"],
    "in a chunk": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nab"],
    "in a large body": [HEAD + b"Content-Length: 9000000\r\n\r\n", b"x" * 200_000],
    "while it is worked on": [WAITING],
    "with others behind it": [WAITING + SMALL + b"abcde" + SMALL + b"ab"],
    "in the answer": [b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n"],
    "after a wrong request": [b"GARBAGE\r\n\r\n"],
    "after an answer": [SMALL + b"abcde"],
}


@pytest.mark.parametrize("how", ["hangs up", "resets", "says no more"])
@pytest.mark.parametrize("pieces", LEFT_AT.values(), ids=LEFT_AT.keys())
@pytest.mark.usefixtures("no_collections")
async def test_a_caller_leaves(site: Any, pieces: list[bytes], how: str) -> None:
    caller = await site.caller()
    caller.transport.pause_reading()
    await caller.send(*pieces)
    await asyncio.sleep(0)
    (left,) = [weakref.ref(one) for one in site.door.connections]
    if how == "hangs up":
        caller.transport.close()
    elif how == "resets":
        caller.reset()
    else:
        caller.transport.write_eof()
        caller.transport.resume_reading()
    site.gate.set()
    await nothing_is_left(site)
    await site.until(lambda: left() is None)


async def test_a_crowd_leaves_while_most_of_it_waits_for_a_turn(start: Callable[..., Any]) -> None:
    site = await start(max_in_flight=1000)
    callers = [await site.caller() for _ in range(100)]
    for caller in callers:
        caller.transport.write(SMALL + b"abcde")
    await site.until(lambda: site.admission.in_flight > 16)
    for number, caller in enumerate(callers):
        if number % 2:
            caller.reset()
        else:
            caller.transport.close()
    await nothing_is_left(site)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"POST"])
async def test_any_method_on_a_prediction_path(site: Any, method: bytes) -> None:
    caller = await site.caller(method + SMALL.removeprefix(b"POST") + b"abcde")
    assert (await caller.answer(bodiless=method == b"HEAD")).status == 200
    assert site.admission.in_flight == 0


async def test_ten_thousand_connections_leave_nothing_behind(site: Any) -> None:
    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    kinds = [*list(LEFT_AT.values())[:7], [b"GARBAGE\r\n\r\n"], [SMALL + b"abcde"]]
    before = files()
    tasks = len(asyncio.all_tasks())
    for turn in range(100):
        crowd = [asyncio.get_running_loop().create_connection(_Leaver, "127.0.0.1", site.port) for _ in range(100)]
        for number, (transport, _) in enumerate(await asyncio.gather(*crowd)):
            for piece in kinds[(turn + number) % len(kinds)]:
                transport.write(piece[:1000])
            if number % 3 == 0:
                transport.abort()
            elif number % 3 == 1:
                transport.close()
            else:
                transport.write_eof()
        await site.until(lambda: not site.door.connections)
        site.pass_time(0.001)
    await nothing_is_left(site)
    await site.until(lambda: files() <= before + 2)
    assert len(asyncio.all_tasks()) <= tasks


class _Leaver(asyncio.Protocol):
    """Hangs up when the other side does."""
