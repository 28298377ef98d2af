"""The real server asks for ID tokens, as google-auth makes them, and refusals leave nothing behind."""

import base64
import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.auth import jwt
from google.auth.crypt.es import EsSigner

AUDIENCE = "https://scores.example.com"
KEY = ec.generate_private_key(ec.SECP256R1())
GOOD = json.dumps(
    {"instances": [{"customer_id": "C00017", "merchant_id": "M00042", "amount": 12.5, "channel": "online"}]}
).encode()


class _Certs(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        numbers = KEY.public_key().public_numbers()
        x, y = (
            base64.urlsafe_b64encode(one.to_bytes(32, "big")).rstrip(b"=").decode() for one in (numbers.x, numbers.y)
        )
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "kid": "e1", "x": x, "y": y}]}).encode())

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def certs_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Certs) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/certs"
        server.shutdown()
        thread.join()


@pytest.fixture
def port(process: Callable[..., "subprocess.Popen[str]"], small_demo: Any, certs_url: str) -> int:
    """The port of a server that has few places and asks who calls."""
    begun = process(
        *("--port", "0", "--max-in-flight", "4", "--max-large-in-flight", "1"),
        KEYSCORE_BUNDLE=str(small_demo.bundle),
        KEYSCORE_SQLITE_PATH=str(small_demo.store),
        KEYSCORE_AUTH_AUDIENCE=AUDIENCE,
        KEYSCORE_AUTH_CERTS_URL=certs_url,
    )
    assert begun.stdout is not None
    found = re.search(r"on http://localhost:(\d+)", begun.stdout.readline())
    assert found
    return int(found[1])


def token(**changed: Any) -> str:
    now = int(time.time())
    claims = {"iss": "https://accounts.google.com", "aud": AUDIENCE, "iat": now, "exp": now + 600, **changed}
    made: bytes = jwt.encode(EsSigner(KEY, "e1"), claims)
    return made.decode()


def test_who_shows_a_good_token_is_answered_and_who_does_not_takes_no_place(port: int) -> None:
    good, other = token(), token(aud="https://other.example.com")
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.connect()
        used = connection.sock.getsockname()

        def ask(path: str, bearer: str, body: bytes = GOOD) -> tuple[int, bytes]:
            headers = {"Content-Type": "application/json", "Authorization": f"bearer {bearer}"}
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

        for _ in range(10):  # more than there are places of either kind
            assert ask("/predict", other)[0] == 401
            assert ask("/predict/detailed", "nonsense", GOOD + b" " * 20_000)[0] == 401
            assert ask("/predict", good)[0] == 200
        status, said = ask("/predict/detailed", good, GOOD + b" " * 20_000)
        assert status == 200, said
        connection.request("GET", "/readyz")
        assert connection.getresponse().read() == b'{"status":"ready"}'
        assert connection.sock.getsockname() == used


def test_a_large_request_without_a_token_is_refused_before_its_body_has_come(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as raw:
        raw.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        answered = raw.recv(65536)
    assert answered.startswith(b"HTTP/1.1 401 ")
    assert b"www-authenticate: Bearer" in answered
