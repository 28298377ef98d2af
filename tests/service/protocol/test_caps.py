"""What is too large is refused in words that can be read, although its sender goes on sending."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

START = b"GET /get HTTP/1.1\r\nHost: x\r\n"
FLOOD = [b"x" * 65536] * 80  # 5 MB


def numbered(count: int) -> bytes:
    return b"".join(b"X-%d: y\r\n" % number for number in range(count))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (START + b"X-Large: " + b"y" * 65536 + b"\r\n\r\n", 431),
        (START + b"X-Large: " + b"y" * 32768 + b"\r\n\r\n", 431),
        (START + b"y" * 65536 + b": x\r\n\r\n", 431),
        (START + numbered(1000) + b"\r\n", 431),
        (START + numbered(100) + b"\r\n", 431),
        (START + b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(33)) + b"\r\n", 431),
        (b"GET /" + b"u" * 65536 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /" + b"u" * 8192 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /?" + b"q" * 8192 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else f"{len(value)} bytes",
)
@pytest.mark.parametrize("pieces", [1, 2, 50])
async def test_a_head_that_is_too_large_is_refused_and_never_seen_by_the_app(
    site: Any, sent: bytes, status: int, pieces: int
) -> None:
    size = -(-len(sent) // pieces)
    caller = await site.caller(*[sent[at : at + size] for at in range(0, len(sent), size)])
    answer = await caller.answer()
    assert answer.status == status
    assert answer.problem == {431: "headers-too-large", 414: "url-too-long"}[status]
    assert answer.closes
    assert await caller.rest() == b""
    assert not site.seen


async def test_the_largest_head_is_served(site: Any) -> None:
    fields = START + numbered(98) + b"X-Large: " + b"y" * 31_000 + b"\r\n\r\n"
    caller = await site.caller(fields, b"GET /" + b"u" * 8000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await caller.answer()).status == 200
    assert (await caller.answer()).status == 200


@pytest.mark.parametrize(
    "begun",
    [b"GET /", START + b"X-Endless: ", START + b"x", START, b"GET /get HTTP/1.1\r\nHost: x\r\n\r\n" + START + b"A: "],
    ids=["url", "value", "name", "headers", "second request"],
)
async def test_a_head_without_end_is_cut_off_and_its_sender_can_read_why(site: Any, begun: bytes) -> None:
    piece = b"A: b\r\n" * 10_000 if begun == START else b"x" * 60_000
    caller = await site.caller(begun)
    for _ in range(80):  # he never stops
        await caller.send(piece)
    last = answer = await caller.answer()
    if b"\r\n\r\n" in begun:
        assert answer.status == 200
        last = await caller.answer()
    assert last.status in (414, 431)
    assert last.closes
    assert await caller.rest() == b""


@pytest.mark.parametrize("endless", [b"0\r\nX-Trailer: ", b"1;extension="], ids=["trailer", "chunk extension"])
async def test_what_is_no_body_behind_the_head_has_an_end_too(site: Any, endless: bytes) -> None:
    caller = await site.caller(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + endless)
    await caller.send(*FLOOD)
    answer = await caller.answer()
    assert (answer.status, answer.problem, answer.closes) == (431, "headers-too-large", True)
    assert await caller.rest() == b""
    await site.until(lambda: not site.server.server_state.tasks)


@pytest.mark.parametrize("size", [100_000, 3_000_000])
async def test_a_large_body_is_no_large_head(site: Any, size: int) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
    caller = await site.caller(head + b"Content-Length: %d\r\n\r\n" % size)
    await caller.send(b"b" * size)
    assert (await caller.answer()).status == 200
    chunk = b"%x\r\n%s\r\n" % (1000, b"b" * 1000)
    await caller.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * (size // 1000) + b"0\r\n\r\n")
    assert (await caller.answer()).status == 200
    assert [len(body) for body in site.bodies] == [size, size]


async def test_small_chunks_may_have_more_frame_than_content(site: Any) -> None:
    caller = await site.caller(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await caller.send(b"1\r\nb\r\n" * 20_000, b"0\r\n\r\n")
    assert (await caller.answer()).status == 200
    assert site.bodies == [b"b" * 20_000]


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 5242880", b"Content-Length: 10737418240", b"Transfer-Encoding: chunked"]
)
async def test_a_refused_body_goes_on_arriving_and_the_refusal_can_be_read(site: Any, framing: bytes) -> None:
    caller = await site.caller(b"POST /limited HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
    if b"chunked" in framing:
        await caller.send(b"500000\r\n")
    await caller.send(*FLOOD)
    answer = await caller.answer()
    assert (answer.status, answer.problem, answer.closes) == (413, "body-too-large", True)
    assert await caller.rest() == b""
    assert len(site.door.connections) == 1
    caller.transport.close()
    await site.until(lambda: not site.door.connections)


async def test_a_408_can_be_read_while_the_body_goes_on_arriving(site: Any) -> None:
    caller = await site.caller(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
    await caller.send(b"b" * 1000)
    site.pass_time(5.1)
    await caller.send(*FLOOD)
    assert (await caller.answer()).status == 408
    assert await caller.rest() == b""


async def test_who_sends_for_ever_is_cut_off_in_the_end(site: Any) -> None:
    caller = await site.caller(b"GARBAGE\r\n")
    assert (await caller.answer()).status == 400
    await caller.send(*FLOOD[:10])
    site.pass_time(2.0)
    assert site.door.connections
    site.pass_time(0.1)
    await site.until(lambda: not site.door.connections)
