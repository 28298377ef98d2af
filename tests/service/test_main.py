"""`python -m service`: what cannot start is one line on stdout and exit code 1."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.__main__ import main
from service.errors import StartError
from service.server import bound_socket
from service.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*(f"KEYSCORE_{field.upper()}" for field in Settings.model_fields), "PORT", "K_SERVICE", "AIP_MODE"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """The one line that was said."""

    def line() -> str:
        out = capsys.readouterr().out
        assert out.count("\n") == 1
        assert out.startswith("keyscore cannot start: ")
        return out

    return line


def test_a_bad_setting_is_one_line(said: Callable[[], str]) -> None:
    assert main(["--max-instances", "0", "--port", "0"]) == 1
    assert "KEYSCORE_MAX_INSTANCES" in said()


def test_a_bad_platform_is_one_line(monkeypatch: pytest.MonkeyPatch, said: Callable[[], str]) -> None:
    monkeypatch.setenv("AIP_HTTP_PORT", "http")
    assert main([]) == 1
    assert "AIP_HTTP_PORT" in said()


def test_without_a_bundle_cloud_run_is_told_which_setting_is_missing(
    monkeypatch: pytest.MonkeyPatch, said: Callable[[], str], small_demo: Any
) -> None:
    monkeypatch.setenv("K_SERVICE", "keyscore")
    assert main(["--port", "0", "--sqlite-path", str(small_demo.store)]) == 1
    assert "set KEYSCORE_BUNDLE" in said()


@pytest.mark.parametrize("content", [None, b"this is not a database, whatever its name says" * 100])
def test_a_store_file_that_cannot_be_read_is_one_line(
    said: Callable[[], str], small_demo: Any, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "store.sqlite"
    if content is not None:
        path.write_bytes(content)
    assert main(["--port", "0", "--bundle", str(small_demo.bundle), "--sqlite-path", str(path)]) == 1
    assert ("does not exist" if content is None else "not a sqlite database") in said()


def test_a_taken_port_is_one_line(said: Callable[[], str], small_demo: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["--host", "127.0.0.1", "--port", port, "--bundle", str(small_demo.bundle)]) == 1
    line = said()
    assert f"cannot listen on 127.0.0.1:{port}" in line
    assert "set PORT to a free port" in line


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1:0"):
        bound_socket("192.0.2.1", 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_ipv6_address_gets_a_socket_of_its_kind() -> None:
    with bound_socket("::1", 0) as bound:
        assert bound.family is socket.AF_INET6


def test_until_the_service_is_ready_nobody_is_let_in() -> None:
    with bound_socket("127.0.0.1", 0) as bound, socket.socket() as client:
        assert client.connect_ex(bound.getsockname()) != 0
