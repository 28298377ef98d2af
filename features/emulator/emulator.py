"""The emulator as a whole: both ports around one set of rows, faults and counts."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from features.clock import Clock, SystemClock
from features.emulator.admin import Admin
from features.emulator.banner import banner
from features.emulator.calls import Calls
from features.emulator.fault_rules import FaultRule, parse_rules
from features.emulator.faults import Faults
from features.emulator.grpc_server import GrpcServer
from features.emulator.proxy import Proxy
from features.emulator.reads import Reads
from features.emulator.rest import Rest
from features.emulator.rows import Rows
from features.emulator.web import serving


class Emulator:
    """Vertex AI Feature Store on this machine, inside the running event loop, from enter to exit.

        async with Emulator(path) as emulator:
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{emulator.port}")

    Args:
        store_path: The embedded store's file.
        host: The interface to listen on.
        port: Of gRPC; 0 lets the system choose.
        rest_port: Of REST and the controls; 0 lets the system choose, None leaves that side out.
        faults: What goes wrong from the start: rules, or the JSON of rules.
        strict_routing: Refuse calls without a routing header, too.
        keys_per_answer: How many keys one response message of a stream answers at most.
        seed: Of the order of a stream's answers; each fault has a seed of its own.
        clock: Tells how long latency lasts and what now is.

    Attributes:
        reads: What was asked, counted.
        port: Of gRPC, once it is entered.
        rest_port: Of REST, once it is entered; 0 without.
    """

    def __init__(
        self,
        store_path: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        rest_port: int | None = 0,
        faults: Iterable[FaultRule | Mapping[str, Any]] = (),
        strict_routing: bool = False,
        keys_per_answer: int = 64,
        seed: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self.reads = Reads()
        self.port = port
        self.rest_port = rest_port or 0
        self._path = store_path
        self._host = host
        self._rest = rest_port is not None
        self._faults = Faults(parse_rules(list(faults)))
        self._strict_routing = strict_routing
        self._keys_per_answer = keys_per_answer
        self._seed = seed
        self._clock = clock or SystemClock()
        self._proxy = Proxy(self.reads.add_connection)
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<Emulator of {self._path} port={self.port} rest_port={self.rest_port} {self._faults}>"

    async def __aenter__(self) -> Self:
        """Opens the file and the ports.

        Raises:
            StoreFileError: The file cannot be read.
            OSError: A port cannot be had.
        """
        async with AsyncExitStack() as stack:
            rows = Rows(self._path)
            rows.open()
            stack.callback(rows.close)
            closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            calls = Calls(
                rows=rows,
                faults=self._faults,
                reads=self.reads,
                clock=self._clock,
                closing=closing,
                keys_per_answer=self._keys_per_answer,
                seed=self._seed,
            )
            server = GrpcServer(calls, self._proxy.connection, strict_routing=self._strict_routing)
            await server.start()
            stack.push_async_callback(server.stop)
            self._proxy.upstream_port = server.port
            await self._proxy.listen(self._host, self.port)
            stack.push_async_callback(self._proxy.close)
            self.port = self._proxy.port
            if self._rest:
                app = Rest(calls, Admin(rows, self._clock), self).app
                self.rest_port = await stack.enter_async_context(serving(app, self._host, self.rest_port))
            stack.callback(closing.set_result, None)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def serving(self) -> bool:
        """Whether the gRPC port is open."""
        return self._proxy.up

    def set_faults(self, rules: Iterable[FaultRule | Mapping[str, Any]]) -> None:
        """Puts these rules in force, in place of all others; what connections suffer ends.

        Raises:
            FaultRuleInvalid: One of them is no rule; the old ones stay.
        """
        self._faults.replace(parse_rules(list(rules)))
        self._proxy.heal()

    async def stop_serving(self) -> None:
        """Closes the gRPC port and resets its connections, as if the process had been killed."""
        await self._proxy.close()

    async def start_serving(self) -> None:
        """Opens the gRPC port again, with the same number.

        Raises:
            OSError: Somebody else has taken it.
        """
        if not self._proxy.up:
            await self._proxy.listen(self._host, self.port)


async def run(
    store_path: Path,
    *,
    host: str = "127.0.0.1",
    port: int,
    rest_port: int,
    faults: Iterable[FaultRule | Mapping[str, Any]] = (),
    latency_ms: float = 0.0,
    strict_routing: bool = False,
    announce: Callable[[str], object] = sys.stdout.write,
) -> None:
    """Runs an emulator until SIGINT or SIGTERM; `keyscore emulator` is this.

    Args:
        store_path: See `Emulator`, as for all that is not named here.
        host: Same.
        port: Same.
        rest_port: Same.
        faults: Same.
        latency_ms: The store's own latency: a fault before the others.
        strict_routing: Same.
        announce: Takes the banner when both ports are open.

    Raises:
        StoreFileError: The file cannot be read.
        FaultRuleInvalid: A fault is no rule.
        OSError: A port cannot be had.
    """
    own = [{"kind": "latency", "ms": latency_ms}] if latency_ms else []
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with Emulator(
        store_path, host=host, port=port, rest_port=rest_port, faults=[*own, *faults], strict_routing=strict_routing
    ) as emulator:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        try:
            announce(banner(emulator.port, emulator.rest_port))
            gc.collect()
            gc.freeze()  # to collect what start-up made takes 40 ms, which would be taken for the service's latency
            await stopped.wait()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
