"""There is nothing to upgrade to: a request that asks for it is answered as what it is without."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQBAAAAAAIAAAAA\r\n"
WEBSOCKET = b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


def pieces(sent: bytes, size: int) -> list[bytes]:
    return [sent[at : at + size] for at in range(0, len(sent), size)]


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("wish", [H2C, WEBSOCKET], ids=["h2c", "websocket"])
@pytest.mark.parametrize(
    "framed",
    [
        b"Content-Length: 5\r\n\r\nabcde",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
    ],
    ids=["length", "chunks"],
)
async def test_its_body_is_read(site: Any, framed: bytes, wish: bytes, size: int) -> None:
    sent = b"POST /predict?a=b HTTP/1.1\r\nHost: x\r\nX-A: b\r\n" + wish + framed + NEXT
    caller = await site.caller(*pieces(sent, size))
    assert (await caller.answer()).body == b"POST /predict"
    assert (await caller.answer()).body == b"GET /next"
    assert site.bodies == [b"abcde", b""]
    headers = dict(site.seen[0]["headers"])
    assert (headers[b"host"], headers[b"x-a"], site.seen[0]["query_string"]) == (b"x", b"b", b"a=b")
    assert site.admission.in_flight == 0


async def test_its_body_is_not_taken_for_a_request(site: Any) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\n" + H2C + b"Content-Length: %d\r\n\r\n" % len(NEXT)
    caller = await site.caller(head, NEXT, NEXT)
    assert [(await caller.answer()).body for _ in range(2)] == [b"POST /echo", b"GET /next"]
    assert site.bodies == [NEXT, b""]


@pytest.mark.parametrize("wish", [H2C, WEBSOCKET], ids=["h2c", "websocket"])
async def test_many_of_them_without_bodies_are_answered_in_order(site: Any, wish: bytes) -> None:
    sent = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n%s\r\n" % (number, wish) for number in range(50))
    caller = await site.caller(sent)
    assert [(await caller.answer()).body for _ in range(50)] == [b"GET /%d" % number for number in range(50)]


async def test_it_is_checked_like_any_other(site: Any) -> None:
    caller = await site.caller(b"GET /get HTTP/1.1\r\n" + H2C + b"\r\n")
    assert (await caller.answer()).problem == "malformed-http"
    caller = await site.caller(b"GET /get HTTP/1.1\r\nHost: x\r\n" + H2C + b"X-A: b\r\n" * 100 + b"\r\n")
    assert (await caller.answer()).problem == "headers-too-large"
    assert not site.seen


async def test_half_of_its_body_times_out(site: Any) -> None:
    caller = await site.caller(b"POST /echo HTTP/1.1\r\nHost: x\r\n" + H2C + b"Content-Length: 5\r\n\r\nab")
    site.pass_time(5.1)
    assert (await caller.answer()).problem == "receipt-timeout"
    assert await caller.rest() == b""
