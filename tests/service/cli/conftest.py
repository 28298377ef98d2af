"""The command line in this process, in a folder of its own and with an environment without settings."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.values import DType, EntityKey, Value
from service.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def keyscore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """`keyscore("put", "account", …)`: runs one command."""
    for name in list(os.environ):
        if name.startswith(("KEYSCORE_", "AIP_", "K_", "COLUMNS", "FORCE_COLOR")) or name == "PORT":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        code = main([str(word) for word in words])
        written = capsys.readouterr()
        return Outcome(code, written.out, written.err)

    return run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the commands find their store when nothing else is said: a view of one key and a view of two."""
    path = tmp_path / "var" / "features.sqlite"
    account = {"balance": DType.FLOAT, "visits": DType.INT, "vip": DType.BOOL, "city": DType.STRING}
    with SqliteWriter(path) as writer:
        row = StoredRow("C1", {"balance": 80.5, "visits": 7, "vip": True, "city": "Bonn"}, 1_700_000_000.0)
        writer.replace_view("account", ("customer_id",), account, [row])
        pair = StoredRow(("C1", "M1"), {"score": 0.5})
        writer.replace_view("pair", ("customer_id", "merchant_id"), {"score": DType.FLOAT}, [pair])
    return path


@pytest.fixture
def rows_of() -> Callable[[Path, str, Sequence[EntityKey]], list[Mapping[str, Value] | None]]:
    """`rows_of(path, view, keys)`: the values that are stored for each key, None where there is no row."""

    def read(path: Path, view: str, keys: Sequence[EntityKey]) -> list[Any]:
        with SqliteWriter(path) as writer:
            found = [writer.row(view, key) for key in keys]
        return [None if row is None else row.values for row in found]

    return read


@dataclass(frozen=True)
class RunningEmulator:
    """The command `keyscore emulator` in a process of its own."""

    process: subprocess.Popen[str]
    port: int
    rest_port: int


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`command("view", "status", …)`: runs one command in a process of its own."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "service.cli.main", *map(str, words)]
        return subprocess.run(line, capture_output=True, text=True, check=False)  # noqa: S603  # our own program

    return run


@pytest.fixture
def emulator(
    keyscore: Callable[..., Outcome], store: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningEmulator]:
    """An emulator of the store; the environment points at it."""
    assert keyscore  # which has emptied the environment of settings
    line = [sys.executable, "-m", "service.cli.main", "emulator", "--port", "0", "--rest-port", "0"]
    line += ["--sqlite-path", str(store)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own program
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.fullmatch(r".* gRPC on (\d+), REST on (\d+)\n", said)
        assert found, said
        running = RunningEmulator(process, int(found[1]), int(found[2]))
        monkeypatch.setenv("KEYSCORE_STORE", "vertex")
        monkeypatch.setenv("KEYSCORE_VERTEX_ENDPOINT", f"localhost:{running.port}")
        monkeypatch.setenv("KEYSCORE_VERTEX_REST_ENDPOINT", f"localhost:{running.rest_port}")
        monkeypatch.setenv("KEYSCORE_VERTEX_PLAINTEXT", "1")
        yield running
        process.terminate()
