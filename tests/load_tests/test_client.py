import asyncio
from typing import Any, cast

import pytest

from load_tests.client import IDLE, MALFORMED, RESET, TIMEOUT, Connection, headers_of, status_of

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5"
ANSWER = HEAD + b"\r\n\r\nabcde"


class Transport:
    """What a connection writes, and whether it has been closed."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborted = True


class Listener:
    """What became of the requests."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def answered(self, connection: Connection, index: int, head: bytes, body: bytes) -> None:
        self.heard.append((index, head, body, connection.closed))

    def failed(self, connection: Connection, index: int, failure: int) -> None:
        assert connection.closed
        self.heard.append((index, failure))


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
def connection(listener: Listener, transport: Transport) -> Connection:
    found = Connection(listener)
    found.connection_made(cast("asyncio.Transport", transport))
    return found


def test_an_answer_in_one_piece_frees_the_connection(connection: Connection, listener: Listener) -> None:
    connection.send(3, b"request")
    connection.data_received(ANSWER)
    assert listener.heard == [(3, HEAD, b"abcde", False)]
    assert connection.index == IDLE


def test_an_answer_that_comes_byte_by_byte_is_the_same_answer(connection: Connection, listener: Listener) -> None:
    connection.send(3, b"request")
    for byte in ANSWER:
        connection.data_received(bytes([byte]))
    assert listener.heard == [(3, HEAD, b"abcde", False)]


def test_one_answer_after_the_other_is_heard(connection: Connection, listener: Listener, transport: Transport) -> None:
    for number in (1, 2):
        connection.send(number, b"request")
        connection.data_received(ANSWER[:30])
        connection.data_received(ANSWER[30:])
    assert [one[0] for one in listener.heard] == [1, 2]
    assert transport.written == [b"request", b"request"]


@pytest.mark.parametrize("header", [b"Connection: close", b"connection: Close"])
def test_a_connection_is_not_used_again_when_the_server_says_so(
    connection: Connection, listener: Listener, transport: Transport, header: bytes
) -> None:
    connection.send(1, b"request")
    connection.data_received(HEAD + b"\r\n" + header + b"\r\n\r\nabcde")
    assert listener.heard[0][3]
    assert transport.aborted


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"SSH-2.0 \r\nContent-Length: 5\r\n\r\nabcde",
        ANSWER + b"more",
    ],
    ids=["no-length", "negative", "no-number", "no-http", "too-much"],
)
def test_what_is_no_answer_is_a_failure(connection: Connection, listener: Listener, data: bytes) -> None:
    connection.send(1, b"request")
    connection.data_received(data)
    assert listener.heard == [(1, MALFORMED)]


def test_bytes_that_nobody_asked_for_close_the_connection(connection: Connection, listener: Listener) -> None:
    connection.data_received(ANSWER)
    assert connection.closed
    assert listener.heard == []


def test_a_connection_that_ends_too_early_fails_its_request(connection: Connection, listener: Listener) -> None:
    connection.send(1, b"request")
    connection.data_received(ANSWER[:-1])
    connection.connection_lost(None)
    assert listener.heard == [(1, RESET)]


def test_the_end_of_a_free_connection_is_no_failure(connection: Connection, listener: Listener) -> None:
    connection.connection_lost(ConnectionResetError())
    assert connection.closed
    assert listener.heard == []


def test_a_request_is_given_up_once(connection: Connection, listener: Listener) -> None:
    connection.send(1, b"request")
    connection.close(TIMEOUT)
    connection.connection_lost(None)
    assert listener.heard == [(1, TIMEOUT)]


def test_status_and_headers_are_read() -> None:
    assert status_of(HEAD) == 200
    assert status_of(b"HTTP/1.1 oh no") == MALFORMED
    assert headers_of(HEAD) == {"content-type": "application/json", "content-length": "5"}
