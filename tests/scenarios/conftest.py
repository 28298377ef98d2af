"""How whole requests are asked and answers looked at."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.emulator import Emulator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def problem_of() -> Callable[[httpx.Response], dict[str, Any]]:
    """`problem_of(answer)`: its problem document, when it is one in every respect."""

    def look(answer: httpx.Response) -> dict[str, Any]:
        document: dict[str, Any] = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert document["status"] == answer.status_code >= 400
        assert document["type"].startswith("urn:keyscore:problem:")
        assert document["title"]
        assert document["detail"]
        assert document["request_id"] == answer.headers["x-request-id"]
        assert ("retry-after" in answer.headers) == (answer.status_code == 503)
        return document

    return look


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Any]:
    """`await until(condition)`: other tasks run until it holds."""

    async def wait(condition: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came to that")

    return wait


@pytest.fixture
async def demo_emulator(small_demo: Any) -> AsyncIterator[Emulator]:
    """An emulator on the demo's store, without its REST side."""
    async with Emulator(small_demo.store, rest_port=None) as emulator:
        yield emulator


@pytest.fixture
def over_grpc(
    serve: Callable[..., Awaitable[httpx.AsyncClient]],
    small_demo: Any,
    demo_emulator: Emulator,
    shifted_clock: type[Any],
) -> Callable[..., Awaitable[httpx.AsyncClient]]:
    """`await over_grpc(max_in_flight=1, …)`: a client of the demo, whose features come from `demo_emulator`."""

    def start(clock: Any = None, **chosen: Any) -> Awaitable[httpx.AsyncClient]:
        endpoint = f"127.0.0.1:{demo_emulator.port}"
        said = {"store": "vertex", "vertex_endpoint": endpoint, "vertex_plaintext": True, "deadline_s": 30.0, **chosen}
        return serve(small_demo.bundle, clock=clock or shifted_clock(), **said)

    return start


@pytest.fixture
def demo_instances(small_demo: Any) -> Sequence[dict[str, Any]]:
    """Those of the demo's golden lines: all known to the store, none twice."""
    lines = (small_demo.bundle / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["instance"] for line in lines]


Process = Callable[..., "subprocess.Popen[str]"]


@contextmanager
def _processes() -> Iterator[Process]:
    started: list[subprocess.Popen[str]] = []
    foreign = ("KEYSCORE_", "AIP_", "K_SERVICE", "PORT")

    def start(*arguments: str, module: str = "service", **variables: str) -> "subprocess.Popen[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        begun = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-m", module, *arguments],
            env={**kept, "PYTHONPATH": str(ROOT), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(begun)
        return begun

    yield start
    for one in started:
        one.terminate()
        one.communicate()


@pytest.fixture
def process() -> Iterator[Process]:
    """`process("--port", "0", K_SERVICE="x")`: a running `python -m service`, ended with the test."""
    with _processes() as start:
        yield start


@pytest.fixture(scope="module")
def lasting_process() -> Iterator[Process]:
    """The same, ended with the last test of the file."""
    with _processes() as start:
        yield start
