"""`keyscore check` says whether callers are asked who they are, and whether the keys to tell can be had."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

_P256 = {
    "kty": "EC",
    "crv": "P-256",
    "kid": "e1",
    "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
    "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
}


class _Certs(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/certs" else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"keys": [_P256]}).encode())

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Certs) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def checked(keyscore: Callable, small_demo: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """`checked(AUDIENCE="x", …)`: the exit code, and the one line about authentication."""

    def run(**chosen: str) -> tuple[int, str]:
        for name, value in chosen.items():
            monkeypatch.setenv(f"KEYSCORE_AUTH_{name}", value)
        outcome = keyscore("check", "--bundle", small_demo.bundle, "--sqlite-path", small_demo.store)
        (line,) = (one for one in outcome.out.splitlines() if "authentication:" in one)
        return outcome.code, " ".join(line.split())

    return run


@pytest.mark.parametrize(
    ("path", "level", "said"),
    [
        ("/certs", "ok", "on for scores.example.com; {url} holds 1 key"),
        ("/other", "problem", "on, but every call would be refused: {url} answers 404"),
        (None, "problem", "KEYSCORE_AUTH_EMAILS is set but KEYSCORE_AUTH_AUDIENCE is not, so nobody would be asked"),
    ],
)
def test_check_says_how_authentication_is(
    checked: Callable[..., tuple[int, str]], port: int, path: str | None, level: str, said: str
) -> None:
    url = f"http://127.0.0.1:{port}{path}"
    chosen = {"AUDIENCE": "scores.example.com", "CERTS_URL": url} if path else {"EMAILS": "a@example.com"}
    code, line = checked(**chosen)
    assert line.startswith(f"{level} authentication: {said.format(url=url)}")
    assert code == (0 if level == "ok" else 1)
