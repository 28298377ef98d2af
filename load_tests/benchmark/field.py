"""The field: every contender, started when it is first asked for and there until the run ends.

- plain, demo: the service as shipped, telemetry on, its store an emulator that takes 5 ms
- silent: the plain one with telemetry off
- hello, raw: constants
- naive: the obvious service, on the plain one's emulator
- hello-thread, naive-loop: further routes of those
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from random import Random
from typing import Any, Final

import orjson

from load_tests import processes
from load_tests.asking import SIMPLE, Asker, ask
from load_tests.baselines import raw
from load_tests.bench import LOGS, TELEMETRY_OFF, Bench
from load_tests.benchmark.book import Soundness
from load_tests.benchmark.contenders import Check, Contender, Warmth
from load_tests.benchmark.effort import Effort
from load_tests.benchmark.material import Material
from load_tests.bundles import PLAIN_PARENT, PLAIN_VIEW, plain_key
from load_tests.generator import Address
from load_tests.holes import live_collector
from load_tests.processes import SERVICE_CORE, answering, exchange, free_port
from load_tests.profiles.base import Options
from load_tests.sizing import settings_for
from load_tests.stored_rows import read_rows

STORE_MS: Final = 5.0
SCRAPE_EVERY_S: Final = 15.0

_DRAWN: Final = 40_000
"""Requests that are made beforehand; they are asked over and over."""


class Field:
    """Who takes part.

    Args:
        stack: Ends everybody.
        material: What they serve.
        effort: How many entities are warm.
        seed: Of what is drawn.
    """

    def __init__(self, stack: AsyncExitStack, material: Material, effort: Effort, seed: int) -> None:
        self._stack = stack
        self._material = material
        self._effort = effort
        self._seed = seed
        self._contenders: dict[str, Contender] = {}
        self._benches: dict[str, Bench] = {}
        self._collector: str | None = None
        self._asked_for = effort.warm
        self._shared = settings_for(Options(short=effort.short))
        self._starters: Mapping[str, Callable[[], Awaitable[Contender]]] = {
            "raw": self._raw,
            "hello": self._hello,
            "plain": self._plain,
            "silent": self._silent,
            "demo": self._demo,
            "naive": self._naive,
            "hello-thread": lambda: self._other_route("hello", "thread"),
            "naive-loop": lambda: self._other_route("naive", "loop"),
        }

    @property
    def contenders(self) -> list[Contender]:
        """Those that have been started."""
        return list(self._contenders.values())

    async def contender(self, name: str) -> Contender:
        """The contender of this name, running."""
        if name not in self._contenders:
            self._contenders[name] = await self._starters[name]()
        return self._contenders[name]

    async def bench(self, name: str) -> Bench:
        """The service of `plain`, `silent` or `demo`, and what it reads."""
        await self.contender(name)
        return self._benches[name]

    async def telemetry(self) -> dict[str, str]:
        """Settings of a service with telemetry on: what is shipped, and a collector that takes it."""
        if self._collector is None:
            self._collector = await self._stack.enter_async_context(live_collector())
        return {"KEYSCORE_OTLP_ENDPOINT": self._collector}

    def fresh_keys(self, count: int) -> list[str]:
        """Keys of the plain bundle that nobody was asked about yet."""
        first = self._asked_for
        self._asked_for += count
        if self._asked_for > self._effort.warm + self._effort.cold:
            raise ValueError("the store has no more cold entities: Effort.cold is too small")
        return [plain_key(number) for number in range(first, self._asked_for)]

    async def _plain(self) -> Contender:
        return await self._of_plain("plain", await self.telemetry())

    async def _silent(self) -> Contender:
        return await self._of_plain("silent", TELEMETRY_OFF)

    async def _of_plain(self, name: str, settings: Mapping[str, str]) -> Contender:
        bench = await self._stack.enter_async_context(
            Bench.start(bundle=self._material.plain, latency_ms=STORE_MS, service_env={**self._shared, **settings})
        )
        keys = [plain_key(number) for number in range(self._effort.warm)]
        dice = self._dice()

        def draw(ids: int, count: int) -> list[list[Any]]:
            return [dice.sample(keys, ids) for _ in range(count)]

        return await self._service(name, bench, keys, draw)

    async def _demo(self) -> Contender:
        bench = await self._stack.enter_async_context(
            Bench.start(
                bundle=self._material.demo,
                latency_ms=STORE_MS,
                service_env={**self._shared, **await self.telemetry()},
                seed=self._seed,
            )
        )
        dice = self._dice()
        # One without activity is scored by defaults, but that it has none is remembered for a second only: not warm.
        active = read_rows(bench.served.store, "customer_activity")
        customers = [key for key in bench.asker.customers if key in active][: self._effort.warm]

        def draw(ids: int, count: int) -> list[list[Any]]:
            return [payments(bench.asker, dice, dice.sample(customers, ids)) for _ in range(count)]

        return await self._service("demo", bench, payments(bench.asker, dice, customers), draw)

    async def _service(
        self, name: str, bench: Bench, instances: list[Any], draw: Callable[[int, int], list[list[Any]]]
    ) -> Contender:
        self._benches[name] = bench
        dice = self._dice()
        requests = [ask(SIMPLE, [dice.choice(instances)], None) for _ in range(min(_DRAWN, 2 * len(instances)))]
        if name != "silent":
            await self._stack.enter_async_context(_scraped(bench.address[1]))
        warmth = Warmth(bench.address, instances)
        return Contender(
            name,
            bench.address,
            bench.service_pids[0],
            requests,
            bench.oracle.check,
            self._effort.check_every,
            warmth=warmth,
            draw=draw,
        )

    async def _hello(self) -> Contender:
        return await self._constant("hello", "load_tests.baselines.hello:app")

    async def _raw(self) -> Contender:
        return await self._constant("raw", "load_tests.baselines.raw:app")

    async def _constant(self, name: str, app: str) -> Contender:
        address, pid = await self._uvicorn(name, app, "/docs" if name == "hello" else "/")
        dice = self._dice()
        keys = [plain_key(dice.randrange(self._effort.warm)) for _ in range(_DRAWN)]
        requests = [ask(SIMPLE, [key], None) for key in keys]
        return Contender(name, address, pid, requests, constant(raw.CONSTANT), self._effort.check_every)

    async def _naive(self) -> Contender:
        bench, plain = await self.bench("plain"), await self.contender("plain")
        assert bench.emulated is not None  # noqa: S101  # the plain service reads an emulator
        project, store = PLAIN_PARENT.split("/")[1::4]
        environment = {
            "NAIVE_STORE": f"http://127.0.0.1:{bench.emulated.rest_port}",
            "NAIVE_PROJECT": project,
            "NAIVE_ONLINE_STORE": store,
            "NAIVE_VIEW": PLAIN_VIEW,
            "NAIVE_MODEL": str(bench.served.bundle / "model.cbm"),
        }
        address, pid = await self._uvicorn("naive", "load_tests.baselines.naive:app", "/docs", environment)
        return Contender("naive", address, pid, plain.requests, bench.oracle.check, min(self._effort.check_every, 10))

    async def _other_route(self, name: str, route: str) -> Contender:
        one = await self.contender(name)
        path, other = SIMPLE.encode(), f"{SIMPLE}/{route}".encode()
        requests = [request.replace(path, other, 1) for request in one.requests]
        return replace(one, name=f"{name}-{route}", requests=requests, sound=Soundness())

    async def _uvicorn(
        self, name: str, app: str, path: str, environment: Mapping[str, str] | None = None
    ) -> tuple[Address, int]:
        """Address and process of an app that is served as the service serves itself."""
        port = free_port()
        options = ("--loop", "uvloop", "--http", "httptools", "--ws", "none", "--lifespan", "off")
        quiet = ("--no-access-log", "--no-server-header", "--log-level", "warning")
        command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), *options, *quiet]
        log = LOGS / f"{name}-{port}.log"
        child = processes.start(name, command, log=log, core=SERVICE_CORE, environment=environment)
        self._stack.callback(child.kill)
        await answering(child, port, path)
        return ("127.0.0.1", port), child.pid

    def _dice(self) -> Random:
        return Random(self._seed)  # noqa: S311  # to be repeated, not to be unguessable


def payments(asker: Asker, dice: Random, customers: list[str]) -> list[dict[str, Any]]:
    """A payment of each customer, drawn anew."""
    return [{**asker.payment(dice.randrange(1 << 30)), "customer_id": customer} for customer in customers]


def constant(body: bytes) -> Check:
    """Accepts this document only."""
    expected = orjson.loads(body)

    def check(_request: bytes, _status: int, _headers: Mapping[str, str], body: bytes, /) -> str | None:
        return None if orjson.loads(body) == expected else f"{body[:100]!r} is not the constant"

    return check


@asynccontextmanager
async def _scraped(port: int) -> AsyncIterator[None]:
    """While the block lasts, `/metrics` is asked for as often as Prometheus would."""

    async def scrape() -> None:
        while True:
            with suppress(OSError, TimeoutError):
                await exchange(port, b"GET /metrics HTTP/1.1")
            await asyncio.sleep(SCRAPE_EVERY_S)

    scraping = asyncio.create_task(scrape())
    try:
        yield
    finally:
        scraping.cancel()
        with suppress(asyncio.CancelledError):
            await scraping
