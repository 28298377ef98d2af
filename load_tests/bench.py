"""A service to be loaded, with the store that it reads, for as long as a block lasts.

async with Bench.start(bundle="plain", store="emulator") as bench:
    outcome = await run_load(bench.address, lambda i: bench.request("detailed_cold", i), check=bench.oracle.check, …)
"""

import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self

import orjson

from load_tests import bundles, processes
from load_tests.asking import BATCH_SIZE, WARM_ENTITIES, Asker
from load_tests.bundles import Served
from load_tests.oracle import Oracle
from load_tests.processes import Child, answering, exchange, free_port, keyscore, pinned
from load_tests.stored_rows import read_rows

LOGS: Final = processes.ROOT / "var" / "load" / "logs"

Address = tuple[str, int]


WARM_TTL: Final = "10m"
"""For what shall stay warm during a search and a run: rows that were read together also expire together."""

TELEMETRY_OFF: Final = {
    "KEYSCORE_ACCESS_LOG": "off",
    "KEYSCORE_TRACE_RATIO": "0",
    "KEYSCORE_STAGE_SAMPLING": "1000000000",
}
"""As quiet as a service can be told to be: nothing pushed, traced, sampled or logged."""


def say(text: str) -> None:
    """Tells whoever waits what is going on."""
    sys.stderr.write(f"  {text}\n")


@dataclass(slots=True)
class Emulated:
    """The emulator as a process.

    Attributes:
        port: Of gRPC.
        rest_port: Of its controls.
        child: The process.
    """

    port: int
    rest_port: int
    child: Child

    async def control(self, name: str, document: object) -> None:
        """`PUT /_emulator/{name}`.

        Raises:
            ProcessFailed: It was refused.
        """
        line = f"PUT /_emulator/{name} HTTP/1.1".encode()
        status, answer = await exchange(self.rest_port, line, orjson.dumps(document))
        if status != 200:  # noqa: PLR2004  # OK
            raise processes.ProcessFailed(f"the emulator refused {document}: {answer.decode()}")


@dataclass(slots=True)
class Bench:
    """Services under load, and what they read from.

    Attributes:
        served: Bundle and rows.
        oracle: Knows every right answer.
        asker: Makes the requests.
        addresses: Of the services.
        services: Their processes.
        environment: Their settings.
        emulated: The store's process; None where they read the file themselves.
    """

    served: Served
    oracle: Oracle
    asker: Asker
    environment: Mapping[str, str]
    emulated: Emulated | None = None
    addresses: list[Address] = field(default_factory=list)
    services: list[Child] = field(default_factory=list)
    _stdout: int | None = None

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        bundle: Literal["plain", "demo"] | Served = "plain",
        entities: int = WARM_ENTITIES,
        ttl: str = "60s",
        store: Literal["emulator", "sqlite"] = "emulator",
        latency_ms: float = 0.0,
        service_env: Mapping[str, str] | None = None,
        instances: int = 1,
        seed: int = 1,
        batch_size: int = BATCH_SIZE,
        warm_ids: int = 1,
        private_rows: bool = False,
        stdout: int | None = None,
    ) -> AsyncIterator[Self]:
        """Services that answer `/readyz`, until the block ends.

        Args:
            bundle: What is served: the plain bundle, the demo, or one made elsewhere.
            entities: How many the plain bundle has.
            ttl: How long the plain bundle's rows are fresh.
            store: What is read: the emulator over gRPC, or the file itself.
            latency_ms: How long a read of the emulator takes.
            service_env: Settings of the services.
            instances: How many services, all on core 0.
            seed: Of the requests.
            batch_size: IDs in a batch.
            warm_ids: IDs in a warm request.
            private_rows: Whether the run gets a store file of its own, to change values in.
            stdout: A file descriptor for the services' output, in place of a log.

        Raises:
            ProcessFailed: Something did not start.
        """
        async with AsyncExitStack() as stack:
            stack.enter_context(processes.ended_in_order())
            stack.enter_context(pinned(processes.LOAD_CORE))
            served = bundle if isinstance(bundle, Served) else _served(bundle, entities, ttl)
            if private_rows:
                served = bundles.copied(served, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))))
            emulated = None
            if store == "emulator":
                emulated = await _start_emulator(stack, served, latency_ms)
            asker = Asker(seed, served.entities or 1, batch_size=batch_size, warm_ids=warm_ids)
            bench = cls(served, Oracle(), asker, _environment(served, emulated, service_env or {}), emulated)
            bench._stdout = stdout
            stack.callback(bench._kill_services)
            for number in range(instances):
                bench.addresses.append(("127.0.0.1", free_port()))
                bench.services.append(bench._spawn(number))
                await answering(bench.services[number], bench.addresses[number][1], "/readyz")
            bench.oracle.learn(await bench.metadata(), served)
            if not served.entities:
                asker.customers = tuple(read_rows(served.store, "customer_account"))
                asker.merchants = tuple(read_rows(served.store, "merchant_risk"))
            yield bench

    @property
    def address(self) -> Address:
        """Of the first service."""
        return self.addresses[0]

    @property
    def service_pids(self) -> list[int]:
        """Process ids of the services; their workers are children of these."""
        return [child.pid for child in self.services]

    def request(self, kind: str, number: int) -> bytes:
        """Request `number` of a kind, see `asking.KINDS`; always the same bytes."""
        return self.asker.request(kind, number)

    def maker(self, kind: str, arrivals: int) -> Callable[[int], bytes]:
        """Requests of one run, whose cold ones ask for nobody whom an earlier run on this bench has asked for."""
        return self.asker.maker(kind, arrivals)

    async def faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """These faults, and no others, are in force at the store."""
        assert self.emulated is not None, "faults need store='emulator'"  # noqa: S101  # a mistake of the profile
        await self.emulated.control("faults", list(rules))

    async def serving(self, *, up: bool) -> None:
        """The store's port is open, or closed as a kill would."""
        assert self.emulated is not None, "an outage needs store='emulator'"  # noqa: S101  # a mistake of the profile
        await self.emulated.control("serving", {"up": up})

    async def metadata(self, number: int = 0) -> dict[str, Any]:
        """What a service says of itself."""
        status, answer = await exchange(self.addresses[number][1], b"GET /metadata HTTP/1.1")
        if status != 200:  # noqa: PLR2004  # OK
            raise processes.ProcessFailed(f"/metadata answered {status}")
        return dict(orjson.loads(answer))

    async def metrics(self, number: int = 0) -> dict[str, float]:
        """A service's metrics: `name{labels}` to value."""
        _, answer = await exchange(self.addresses[number][1], b"GET /metrics HTTP/1.1")
        lines = (line.rpartition(" ") for line in answer.decode().splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    async def restart(self, number: int = 0, *, look_every_s: float = 0.05) -> None:
        """Puts a new process in the place of one; returns when it is ready, which is looked for so often."""
        self.services[number].kill()
        self.services[number] = self._spawn(number)
        port = self.addresses[number][1]
        await answering(self.services[number], port, "/readyz", look_every_s=look_every_s)

    def _spawn(self, number: int) -> Child:
        return processes.start(
            f"service {number}",
            [sys.executable, "-m", "service"],
            log=LOGS / f"service-{self.addresses[number][1]}.log",
            core=processes.SERVICE_CORE,
            environment={**self.environment, "KEYSCORE_PORT": str(self.addresses[number][1])},
            stdout=self._stdout,
        )

    def _kill_services(self) -> None:
        for child in self.services:
            child.kill()


def _served(bundle: str, entities: int, ttl: str) -> Served:
    return bundles.plain(entities, say, ttl=ttl) if bundle == "plain" else bundles.demo(say)


def _environment(served: Served, emulated: Emulated | None, chosen: Mapping[str, str]) -> dict[str, str]:
    """Settings of a service; what the profile chose wins."""
    found = {
        "KEYSCORE_BUNDLE": str(served.bundle),
        "KEYSCORE_SQLITE_PATH": str(served.store),
        "KEYSCORE_HOST": "127.0.0.1",
    }
    if emulated is not None:
        found |= {
            "KEYSCORE_STORE": "vertex",
            "KEYSCORE_VERTEX_ENDPOINT": f"127.0.0.1:{emulated.port}",
            "KEYSCORE_VERTEX_REST_ENDPOINT": f"127.0.0.1:{emulated.rest_port}",
            "KEYSCORE_VERTEX_PLAINTEXT": "1",
        }
    return {**found, **chosen}


async def _start_emulator(stack: AsyncExitStack, served: Served, latency_ms: float) -> Emulated:
    port, rest_port = free_port(), free_port()
    arguments = ("--port", port, "--rest-port", rest_port, "--sqlite-path", served.store, "--latency-ms", latency_ms)
    command = keyscore("emulator", *map(str, arguments))
    log = LOGS / f"emulator-{port}.log"
    child = processes.start("the emulator", command, log=log, core=processes.LOAD_CORE)
    stack.callback(child.kill)
    await answering(child, rest_port, "/_emulator/serving")
    return Emulated(port, rest_port, child)
