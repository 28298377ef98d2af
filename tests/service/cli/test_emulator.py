"""`keyscore emulator` says where it is, runs a command beside it, and refuses what it cannot do in one line."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

_ASK = (
    "import os, httpx; print(httpx.get('http://' + os.environ['KEYSCORE_VERTEX_REST_ENDPOINT'] + '/_emulator/{}').text)"
)


def test_it_ends_well_when_told_to(emulator: object) -> None:
    process = emulator.process  # type: ignore[attr-defined]  # the fixture's class lives in conftest
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait() == 0
    assert "KEYSCORE_STORE=vertex KEYSCORE_VERTEX_ENDPOINT=localhost:" in rest
    assert "_emulator/faults" in rest


@pytest.mark.usefixtures("keyscore", "store")
def test_a_command_beside_it_is_pointed_at_it_and_gives_the_exit_code(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text('[{"kind": "error", "share": 0.5}]')
    flags = ("--port", 0, "--rest-port", 0, "--latency-ms", 3, "--faults", "faults.json")
    done = command("emulator", *flags, "--", sys.executable, "-c", _ASK.format("faults"))
    assert done.returncode == 0
    first, second = json.loads(done.stdout)
    assert (first["kind"], first["ms"]) == ("latency", 3)
    assert (second["kind"], second["share"]) == ("error", 0.5)
    assert done.stderr.startswith("Vertex AI Feature Store emulator: gRPC on ")
    assert command("emulator", "--port", 0, "--rest-port", 0, "--", "sh", "-c", "exit 7").returncode == 7


@pytest.mark.usefixtures("keyscore")
def test_a_service_beside_it_reads_through_it(small_demo: Any) -> None:
    program = [sys.executable, "-m", "service.cli.main"]
    line = [*program, "emulator", "--port", "0", "--rest-port", "0", "--sqlite-path", str(small_demo.store), "--"]
    line += [*program, "serve", "--port", "0", "--bundle", str(small_demo.bundle)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:  # noqa: S603  # our own program
        assert process.stdout is not None
        pasted = next(text for text in process.stdout if "/predict/detailed" in text)
        _curl, _silent, url, _h, _type, _d, body = shlex.split(pasted)
        answer = httpx.post(url, content=body, headers={"Content-Type": "application/json"}).json()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    (prediction,) = answer["predictions"]
    assert prediction["features"]["balance"]["status"] == "PRESENT"
    assert prediction["degraded"] == 0


@pytest.mark.usefixtures("keyscore", "store")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_both(number: signal.Signals) -> None:
    report = (
        "import os, signal; print(os.getpid(), os.environ['KEYSCORE_VERTEX_REST_ENDPOINT'], flush=True); signal.pause()"
    )
    line = [sys.executable, "-m", "service.cli.main", "emulator", "--port", "0", "--rest-port", "0"]
    line += ["--", sys.executable, "-c", report]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:  # noqa: S603  # our own program
        assert process.stdout is not None
        beside, address = process.stdout.readline().split()
        process.send_signal(number)
        assert process.wait() == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(beside), 0)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{address}/_emulator/reads")


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("taken", ["--port", "--rest-port"])
def test_a_port_that_is_taken_is_named(keyscore: Callable, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        free = {"--port": 0, "--rest-port": 0, taken: port}
        outcome = keyscore("emulator", *(word for pair in free.items() for word in pair))
    assert outcome.code == 1
    assert outcome.err == f"error: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sqlite-path", "nowhere.sqlite"), "the store's file nowhere.sqlite does not exist"),
        (("--faults", "nowhere.json"), "the faults' file nowhere.json cannot be read: No such file"),
        (("--faults", "text.json"), "the faults' file text.json is not JSON"),
        (("--faults", "slow.json"), "slow.json: rule 1: kind must be one of latency, error,"),
        (("--host", "256.0.0.1"), "cannot listen on 256.0.0.1:0: "),
        (("--", "no-such-command"), "no-such-command cannot be run: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_line(keyscore: Callable, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    (tmp_path / "text.json").write_text("later")
    (tmp_path / "slow.json").write_text('[{"kind": "slow"}]')
    outcome = keyscore("emulator", "--port", "0", "--rest-port", "0", *words)
    assert outcome.code == 1
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: ")
