"""How whole requests are asked and answers looked at."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

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
