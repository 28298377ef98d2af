"""The real server on a real socket: connections, limits, signals and what the platforms set."""

import gzip
import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

Process = Callable[..., "subprocess.Popen[str]"]
PATIENCE_S = 20
INSTANCE = {"customer_id": "C00017", "merchant_id": "M00042", "amount": 12.5, "channel": "online"}
GOOD = json.dumps({"instances": [INSTANCE]}).encode()
LIMIT = 3000


@contextmanager
def connected(port: int) -> Iterator[HTTPConnection]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        connection.connect()
        yield connection


def send(
    connection: HTTPConnection, body: Any = GOOD, path: str = "/predict", **headers: str
) -> tuple[HTTPResponse, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body, {"Content-Type": "application/json", **named}, encode_chunked=False)
    answer = connection.getresponse()
    return answer, json.loads(answer.read())


def read_until_closed(raw: socket.socket) -> bytes:
    """What comes until the other side hangs up; a reset counts as hanging up."""
    found = b""
    try:
        while piece := raw.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def ready_port(begun: "subprocess.Popen[str]") -> int:
    """Waits for the line that says where the service is."""
    assert begun.stdout is not None
    line = begun.stdout.readline()
    found = re.search(r"on http://localhost:(\d+)", line)
    assert found, line
    return int(found[1])


def paths(small_demo: Any) -> dict[str, str]:
    return {"KEYSCORE_BUNDLE": str(small_demo.bundle), "KEYSCORE_SQLITE_PATH": str(small_demo.store)}


@pytest.fixture
def start(process: Process, small_demo: Any) -> Process:
    """`start(*flags, **variables)`: a server over the demo, for one test."""
    return lambda *flags, **variables: process(*flags, **{**paths(small_demo), **variables})


@pytest.fixture(scope="module")
def port(lasting_process: Process, small_demo: Any) -> int:
    """The port of a server that the tests of this file share."""
    return ready_port(lasting_process("--port", "0", "--max-body-bytes", str(LIMIT), **paths(small_demo)))


def test_a_connection_serves_many_requests_good_and_bad(port: int) -> None:
    with connected(port) as connection:
        for _ in range(5):
            answer, found = send(connection)
            assert answer.status == 200
            assert len(found["predictions"][0]) == 2
            for body in (b"{", b'{"instances": [NaN]}', GOOD[:-1], b"", GOOD.decode().encode("utf-16")):
                answer, problem = send(connection, body)
                assert answer.status == problem["status"] == 400
            assert send(connection, gzip.compress(GOOD), Content_Encoding="gzip")[0].status == 415
            assert send(connection, GOOD, Content_Type="text/csv")[0].status == 415
        answer, detailed = send(connection, path="/predict/detailed")
        assert detailed["predictions"][0]["scores"] == found["predictions"][0]


def test_where_all_requests_have_a_line_so_has_one_that_is_refused_at_the_door(start: Process) -> None:
    begun = start("--port", "0", "--access-log", "all")
    with socket.create_connection(("127.0.0.1", ready_port(begun)), PATIENCE_S) as raw:
        raw.sendall(b"GARBAGE\r\n\r\n")
        answered = read_until_closed(raw)
    named = re.search(rb"x-request-id: (\w+)", answered)
    assert named
    assert begun.stdout is not None
    line = next(line for line in begun.stdout if "malformed-http" in line)
    assert named[1].decode() in line


def test_a_body_that_is_declared_too_large_is_413_and_the_connection_is_closed(port: int) -> None:
    for declared in (LIMIT + 1, 10 * 2**30):
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as raw:
            raw.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % declared)
            answered = read_until_closed(raw)
        assert answered.startswith(b"HTTP/1.1 413 ")
        assert b"\r\nconnection: close\r\n" in answered.lower()
        assert b"urn:keyscore:problem:body-too-large" in answered


def test_a_chunked_body_over_the_limit_is_413_and_the_connection_is_closed(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as raw:
        raw.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        raw.sendall(b"%x\r\n%s\r\n" % (LIMIT + 1, b"x" * (LIMIT + 1)))  # and no last chunk: it is not waited for
        answered = read_until_closed(raw)
    assert answered.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answered.lower()


def test_a_chunked_body_within_the_limit_is_read(port: int) -> None:
    with connected(port) as connection:
        connection.request(
            "POST", "/predict", iter([GOOD[:10], GOOD[10:]]), {"Content-Type": "application/json"}, encode_chunked=True
        )
        assert connection.getresponse().status == 200


@pytest.mark.parametrize("length", [100, 100_000])
def test_a_body_that_stops_half_way_is_408_and_the_connection_is_closed(start: Process, length: int) -> None:
    port = ready_port(start("--port", "0", "--deadline-s", "0.1", "--receive-timeout-s", "0.5"))
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as raw:
        raw.sendall(b'POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n{"instances' % length)
        answered = read_until_closed(raw)
    assert answered.startswith(b"HTTP/1.1 408 ")
    assert b"urn:keyscore:problem:receipt-timeout" in answered


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGINT])
def test_an_order_to_stop_ends_the_process_well(start: Process, order: signal.Signals) -> None:
    begun = start("--port", "0")
    with connected(ready_port(begun)) as connection:
        assert send(connection)[0].status == 200
        begun.send_signal(order)
        said, _ = begun.communicate(timeout=PATIENCE_S)
    assert begun.returncode == 0
    assert "Traceback" not in said


def test_a_taken_port_is_one_line(start: Process) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = start("--host", "127.0.0.1", "--port", str(taken.getsockname()[1]))
        said, _ = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 1
    assert said.startswith("keyscore cannot start: cannot listen on 127.0.0.1:")
    assert said.count("\n") == 1


def test_what_vertex_sets_is_honoured(start: Process) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    variables = {
        "AIP_HTTP_PORT": str(free),
        "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
        "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
        "PORT": "1",
    }
    assert ready_port(start(**variables)) == free
    with connected(free) as connection:
        answer, found = send(connection, path=variables["AIP_PREDICT_ROUTE"])
        assert answer.status == 200
        assert found == send(connection)[1]
        connection.request("GET", variables["AIP_HEALTH_ROUTE"])
        assert connection.getresponse().read() == b'{"status":"ready"}'


MISTAKEN = """
import sys
import service.stores
from features.stores.sqlite import SqliteStore


class Mistaken(SqliteStore):
    async def read(self, view, keys, deadline):
        if "C00001" in keys:
            raise RuntimeError("a mistake")
        return await super().read(view, keys, deadline)


service.stores.SqliteStore = Mistaken
from service.__main__ import main

sys.exit(main(sys.argv[1:]))
"""


def test_an_unhandled_error_leaves_the_connection_usable(start: Process, tmp_path: Path) -> None:
    (tmp_path / "mistaken.py").write_text(MISTAKEN)
    search = f"{tmp_path}:{Path(__file__).parents[2]}"
    port = ready_port(start("--port", "0", module="mistaken", PYTHONPATH=search))
    bad = json.dumps({"instances": [INSTANCE | {"customer_id": "C00001"}]}).encode()
    with connected(port) as connection:
        used = connection.sock.getsockname()
        for _ in range(5):  # each leaves a long traceback in a pipe that nobody empties
            answer, problem = send(connection, bad)
            assert answer.status == problem["status"] == 500
            assert problem["request_id"] == answer.headers["x-request-id"]
            assert set(problem) == {"type", "title", "status", "detail", "request_id"}
            answer, _ = send(connection)
            assert answer.status == 200
            assert connection.sock.getsockname() == used
