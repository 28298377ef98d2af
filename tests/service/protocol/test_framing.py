"""Two readers of one connection must see the same requests: what could be read in two ways is refused."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

HOST = b"Host: x\r\n"
GET = b"GET /get HTTP/1.1\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SECOND = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

REFUSED = {
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nabcde",
    "negative length": POST + b"Content-Length: -5\r\n\r\nabcde",
    "plus length": POST + b"Content-Length: +5\r\n\r\nabcde",
    "hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\nabcde",
    "length with a space": POST + b"Content-Length: 1 0\r\n\r\nabcde",
    "length with an underscore": POST + b"Content-Length: 1_0\r\n\r\nabcde",
    "fractional length": POST + b"Content-Length: 5.0\r\n\r\nabcde",
    "no length": POST + b"Content-Length:\r\n\r\nabcde",
    "length of arabic digits": POST + b"Content-Length: \xd9\xa5\r\n\r\nabcde",
    "length beyond 64 bits": POST + b"Content-Length: 18446744073709551621\r\n\r\nabcde",
    "length of 5,000 digits": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabcde",
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity coding": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked is not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and identity": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "identity and chunked": POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "quoted coding": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "coding after a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding with a parameter": POST + b"Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n",
    "empty coding": POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before the colon": POST + b"Content-Length : 5\r\n\r\nabcde",
    "tab before the colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "folded header": GET + HOST + b"X-Folded: a\r\n b\r\n\r\n",
    "folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "space before the first header": GET + b" Host: x\r\n\r\n",
    "line feed alone": b"GET /get HTTP/1.1\nHost: x\n\n",
    "line feed after a header": GET + b"Host: x\nX-A: b\r\n\r\n",
    "line feed as the empty line": GET + HOST + b"\n",
    "carriage return alone": GET + b"Host: x\rX-A: b\r\n\r\n",
    "carriage return in a value": GET + HOST + b"X-A: a\rb\r\n\r\n",
    "no host": GET + b"\r\n",
    "two hosts": GET + HOST + b"Host: y\r\n\r\n",
    "the same host twice": GET + HOST + HOST + b"\r\n",
    "two hosts in HTTP/1.0": b"GET /get HTTP/1.0\r\n" + HOST + HOST + b"\r\n",
    "no name": GET + HOST + b": a\r\n\r\n",
    "no colon": GET + HOST + b"X-A\r\n\r\n",
    "NUL in a name": GET + HOST + b"X\x00A: b\r\n\r\n",
    "NUL in a value": GET + HOST + b"X-A: a\x00b\r\n\r\n",
    "control character in a value": GET + HOST + b"X-A: a\x01b\r\n\r\n",
    "letter of another alphabet in a name": GET + HOST + "Ünder: b\r\n\r\n".encode(),
    "NUL in the URL": b"GET /a\x00b HTTP/1.1\r\n" + HOST + b"\r\n",
    "control character in the URL": b"GET /a\x7fb HTTP/1.1\r\n" + HOST + b"\r\n",
    "tab in the URL": b"GET /a\tb HTTP/1.1\r\n" + HOST + b"\r\n",
    "space in the URL": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "letter of another alphabet in the URL": "GET /ä HTTP/1.1\r\n".encode() + HOST + b"\r\n",
    "authority": b"CONNECT x:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "authority of another method": b"GET x:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "impossible port": b"GET http://x:99999/get HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT with a path": b"CONNECT /echo HTTP/1.1\r\n" + HOST + b"\r\n",
    "no slash": b"GET get HTTP/1.1\r\n" + HOST + b"\r\n",
    "lower-case method": b"get /get HTTP/1.1\r\n" + HOST + b"\r\n",
    "unknown method": b"FROBNICATE /get HTTP/1.1\r\n" + HOST + b"\r\n",
    "space before the method": b" GET /get HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET /get\r\n\r\n",
    "HTTP/1.2": b"GET /get HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET /get HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/11": b"GET /get HTTP/11\r\n" + HOST + b"\r\n",
    "lower-case version": b"GET /get http/1.1\r\n" + HOST + b"\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "chunk of 2^64 bytes": CHUNKED + b"10000000000000000\r\nabc",
    "negative chunk": CHUNKED + b"-1\r\nabc\r\n0\r\n\r\n",
    "chunk in hexadecimal notation": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "space after a chunk's size": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "chunk without a size": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "chunk that is longer than it says": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "chunk that ends in a line feed": CHUNKED + b"3\nabc\n0\n\n",
    "chunk without an end": CHUNKED + b"3\r\nabc0\r\n\r\n",
    "line feed in a chunk's extension": CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "garbage": b"\x00\x01\x02\xff\xfe" * 20,
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\x00" * 40,
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "JSON": b'{"instances": ["C1"]}\r\n\r\n',
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("follows", [b"", SECOND], ids=["alone", "followed"])
async def test_it_is_400_and_the_end_of_the_connection(site: Any, sent: bytes, follows: bytes) -> None:
    caller = await site.caller(sent + follows)
    answer = await caller.answer()
    assert (answer.status, answer.problem, answer.closes) == (400, "malformed-http", True)
    await caller.send(SECOND)
    assert await caller.rest() == b""
    await site.until(lambda: not site.server.server_state.tasks)
    assert not site.bodies  # a body that was wrong was never taken for a whole one


SERVED = {
    "no host in HTTP/1.0": (b"GET /get HTTP/1.0\r\n\r\n", b"", True),
    "absolute form": (b"GET http://other/get HTTP/1.1\r\n" + HOST + b"\r\n", b"", False),
    "absolute form without a path": (b"GET http://other HTTP/1.1\r\n" + HOST + b"\r\n", b"", False),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", b"", False),
    "empty host": (GET + b"Host:\r\n\r\n", b"", False),
    "empty lines first": (b"\r\n\r\n" + GET + HOST + b"\r\n", b"", False),
    "space around a length": (POST + b"Content-Length:  5 \r\n\r\nabcde", b"abcde", False),
    "zeros before a length": (POST + b"Content-Length: 0005\r\n\r\nabcde", b"abcde", False),
    "no length at all": (POST + b"\r\n", b"", False),
    "chunks": (CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde", False),
    "chunked in capitals": (POST + b"Transfer-Encoding: CHUNKED\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", b"abcde", False),
    "chunk extensions": (CHUNKED + b'5;a=b;c="d"\r\nabcde\r\n0;e\r\n\r\n', b"abcde", False),
    "trailers": (CHUNKED + b"5\r\nabcde\r\n0\r\nX-Wait: 1\r\nHost: y\r\nX-Request-Id: z\r\n\r\n", b"abcde", False),
    "a body of a GET": (GET + HOST + b"Content-Length: 5\r\n\r\nabcde", b"abcde", False),
    "a body that is a request": (POST + b"Content-Length: %d\r\n\r\n" % len(SECOND) + SECOND, SECOND, False),
    "connection to be closed": (GET + HOST + b"Connection: close\r\n\r\n", b"", True),
    "HTTP/1.0 to be kept": (b"GET /get HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"", True),
}


@pytest.mark.parametrize(("sent", "body", "closes"), SERVED.values(), ids=SERVED.keys())
async def test_it_is_one_request_with_one_answer(site: Any, sent: bytes, body: bytes, closes: bool) -> None:  # noqa: FBT001  # from the table
    caller = await site.caller(sent + b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n")
    answer = await caller.answer()
    assert (answer.status, answer.closes) == (200, closes)
    assert site.bodies[0] == body
    if closes:
        assert await caller.rest() == b""
        assert len(site.bodies) == 1
    else:
        assert (await caller.answer()).body == b"GET /next"
        assert len(site.bodies) == 2


async def test_trailers_do_not_become_headers(site: Any) -> None:
    caller = await site.caller(CHUNKED + b"0\r\nAuthorization: Bearer x\r\nX-Request-Id: y\r\n\r\n")
    answer = await caller.answer()
    assert answer.headers["x-request-id"] != "y"
    assert [name for name, _ in site.seen[0]["headers"]] == [b"host", b"transfer-encoding"]


async def test_a_refusal_has_no_request_id_of_an_earlier_request(site: Any) -> None:
    caller = await site.caller(GET + HOST + b"X-Request-Id: mine\r\n\r\n")
    assert (await caller.answer()).headers["x-request-id"] == "mine"
    await caller.send(b"\x00")
    assert (await caller.answer()).headers["x-request-id"] != "mine"


async def test_a_refusal_has_the_request_id_of_its_request(site: Any) -> None:
    caller = await site.caller(GET + b"X-Request-Id: mine\r\n\r\n")
    answer = await caller.answer()
    assert (answer.status, answer.headers["x-request-id"]) == (400, "mine")


async def test_requests_in_single_bytes_are_understood_like_any_other(site: Any) -> None:
    sent = CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" + GET + HOST + b"\r\n"
    caller = await site.caller(*[sent[at : at + 1] for at in range(len(sent))])
    assert (await caller.answer()).body == b"POST /echo"
    assert (await caller.answer()).body == b"GET /get"
    assert site.bodies == [b"abcde", b""]


@pytest.mark.parametrize("path", ["forged", "returned", "nul", "named"])
async def test_an_answer_with_a_header_that_is_none_is_never_sent(site: Any, path: str) -> None:
    caller = await site.caller(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = await caller.answer()
    assert answer.status == 500
    assert not {"x-forged", "x-said", "x said"} & set(answer.headers)
