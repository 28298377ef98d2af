"""How whole requests are asked and answers looked at."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.emulator import Emulator
from features.stores.memory import MemoryStore
from service.settings import Platform

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


_PREDICT_ROUTE = "/v1/endpoints/7/deployedModels/8:predict"
_N_ROWS = 64 + 23
"""A whole request of batch prediction, and an uneven rest."""


@dataclass
class Deployed:
    """A container that Vertex AI has started.

    Attributes:
        client: Reaches it.
        rows: What there is to score, a full request of it and an uneven rest: keys and fields in declared order.
        keys: Names of its keys.
    """

    client: httpx.AsyncClient
    rows: list[dict[str, Any]]
    keys: tuple[str, ...]

    async def post(self, body: dict[str, Any]) -> httpx.Response:
        return await self.client.post(_PREDICT_ROUTE, json=body)

    async def scores(self) -> dict[tuple[str, ...], list[float]]:
        """What each row scores alone, as a plain object, by its entity."""
        answers = [await self.client.post("/predict", json={"instances": [row]}) for row in self.rows]
        return {self.entity(row): one.json()["predictions"][0] for row, one in zip(self.rows, answers, strict=True)}

    def entity(self, named: Any) -> tuple[str, ...]:
        """The keys' texts: of a row, or of what a detailed answer calls the entity."""
        return tuple(str(named[key]) for key in self.keys) if isinstance(named, dict) else (named,)


_ROWS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "string": lambda at: {"customer_id": f"C{at:04}" if at % 2 else f"{1000 + at}"},
    "int64": lambda at: {"customer_id": 1001 + at},
    "composite": lambda at: {"branch": f"B{at % 7}", "number": at},
}
_SERVING = """\
name: $kind
version: "1"
model: {file: model.cbm, sha256: $sha256}
entities: {customer: {keys: [$keys]}}
views: {account: {entity: customer}}
features: [{name: a, from: account.a}, {name: b, from: account.b}, {name: c, from: account.c}]
"""


@pytest.fixture
async def deploy(
    serve: Callable[..., Awaitable[httpx.AsyncClient]],
    train: Callable[..., bytes],
    write_bundle: Callable[..., Path],
    small_demo: Any,
    demo_instances: Sequence[dict[str, Any]],
) -> Callable[..., Awaitable[Deployed]]:
    """`await deploy(kind, parameters="{…}")`: kind is string, int64, composite or demo; more are settings."""
    platform = Platform.of({"AIP_MODE": "PREDICTION", "AIP_PREDICT_ROUTE": _PREDICT_ROUTE})

    async def start(kind: str, **chosen: Any) -> Deployed:
        if kind == "demo":
            client = await serve(small_demo.bundle, platform=platform, sqlite_path=small_demo.store, **chosen)
            return Deployed(client, list(demo_instances[:_N_ROWS]), ("customer_id", "merchant_id"))
        store, rows = MemoryStore(), [_ROWS[kind](at) for at in range(_N_ROWS)]
        for at, row in enumerate(rows):
            key = tuple(map(str, row.values()))
            store.put("account", key if len(key) > 1 else key[0], {"a": at, "b": 100 - at, "c": at * 37 % 100})
        kinds = {str: "string", int: "int64"}
        keys = ", ".join(f"{{name: {name}, dtype: {kinds[type(value)]}}}" for name, value in rows[0].items())
        serving = _SERVING.replace("$kind", kind).replace("$keys", keys)
        client = await serve(write_bundle(train(("a", "b", "c")), serving), store, platform=platform, **chosen)
        return Deployed(client, rows, tuple(rows[0]))

    return start
