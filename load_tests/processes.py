"""Processes under test: started pinned to a core, waited for, and ended by their own id whatever happens.

Where two cores are at hand, what is measured has core 0 to itself, and whatever measures shares core 1, so that neither
takes time from the other unseen.
"""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).parents[1]
"""Where `var/` is, and where the commands are run."""

SERVICE_CORE: Final = 0
LOAD_CORE: Final = 1
_CORES: Final = frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())
"""Those that we may use; asked before anything is pinned, since afterwards it is one."""

_PORTS: Final = range(21_500, 22_000)  # below what Linux gives to outgoing connections, so nothing else takes them
_IN_TURN: Final = cycle(random.sample(_PORTS, len(_PORTS)))  # shuffled: two runs at once seldom try the same
_START_PATIENCE_S: Final = 60.0  # a busy machine without compiled bytecode takes ten
_STOP_PATIENCE_S: Final = 15.0  # the service promises to be gone after nine


class ProcessFailed(RuntimeError):
    """A process did not start, or ended by itself; the message holds its last words."""


@dataclass(slots=True)
class Child:
    """A process of ours.

    Attributes:
        name: What to call it in messages.
        log: Where its output goes.
        popen: The process itself.
    """

    name: str
    log: Path
    popen: "subprocess.Popen[bytes]" = field(repr=False)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.popen.poll() is None

    def family(self) -> list[psutil.Process]:
        """Itself and its workers, as far as they still run."""
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def last_words(self, characters: int = 2_000) -> str:
        """The end of its output."""
        with suppress(OSError):
            return self.log.read_text(encoding="utf-8", errors="replace")[-characters:]
        return ""

    async def ended(self, patience_s: float = _STOP_PATIENCE_S) -> int:
        """Its exit code, once it has ended.

        Raises:
            TimeoutError: It has not within `patience_s` seconds.
        """
        give_up = time.monotonic() + patience_s
        while (code := self.popen.poll()) is None:
            if time.monotonic() > give_up:
                raise TimeoutError(f"{self.name} (pid {self.pid}) still runs after {patience_s:g} s")
            await asyncio.sleep(0.02)
        return code

    def kill(self) -> None:
        """It and its workers are gone, without being asked."""
        family = self.family()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=_STOP_PATIENCE_S)
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(_STOP_PATIENCE_S)


def start(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    core: int | None,
    environment: Mapping[str, str] | None = None,
    stdout: int | None = None,
) -> Child:
    """A new process; whoever starts it ends it with `Child.kill`.

    Args:
        name: What to call it in messages.
        command: Program and arguments.
        log: Where its output goes.
        core: The core it is pinned to; None for any.
        environment: Variables on top of this process's own, of which those of Keyscore are left out.
        stdout: A file descriptor in place of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KEYSCORE_", "OTEL_"))}
    with log.open("wb") as file, pinned(core):
        popen = subprocess.Popen(  # noqa: S603  # our own commands
            command,
            cwd=ROOT,
            env={**inherited, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=file if stdout is None else stdout,
            stderr=subprocess.STDOUT if stdout is None else file,
        )
    return Child(name, log, popen)


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """This thread, and every process that it starts meanwhile, runs on `core`; on any where there is no such core."""
    if core is None or core not in _CORES:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """SIGTERM ends this program as Ctrl-C does, so that what it started is ended, too."""
    try:
        before = signal.getsignal(signal.SIGTERM)
        if before is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # only the main thread may; whoever runs it elsewhere sees to it
        before = None
    try:
        yield
    finally:
        if before is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, before)


def keyscore(*arguments: str) -> list[str]:
    """The command line `keyscore …`, run by this interpreter."""
    return [sys.executable, "-m", "service.cli.main", *arguments]


def free_port() -> int:
    """A port on which nothing listens, and which was not given out lately: whoever got it may not listen yet.

    Raises:
        ProcessFailed: There is none.
    """
    for port in islice(_IN_TURN, len(_PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ProcessFailed(f"no port from {_PORTS.start} to {_PORTS.stop - 1} is free")


async def answering(
    child: Child, port: int, path: str, patience_s: float = _START_PATIENCE_S, *, look_every_s: float = 0.05
) -> None:
    """Returns once the process answers `GET path` with 200, which is looked for every `look_every_s` seconds.

    Raises:
        ProcessFailed: It ended, or did not within `patience_s` seconds.
    """
    give_up = time.monotonic() + patience_s
    while await status_of(port, path) != 200:  # noqa: PLR2004  # OK
        if not child.alive:
            raise ProcessFailed(f"{child.name} ended with exit code {child.popen.returncode}:\n{child.last_words()}")
        if time.monotonic() > give_up:
            raise ProcessFailed(f"{child.name} does not answer {path} on port {port}:\n{child.last_words()}")
        await asyncio.sleep(look_every_s)


async def status_of(port: int, path: str, patience_s: float = 2.0) -> int | None:
    """The status of `GET path`; None where nobody answers."""
    with suppress(OSError, ValueError, IndexError, asyncio.TimeoutError):
        return (await exchange(port, b"GET %s HTTP/1.1" % path.encode(), patience_s=patience_s))[0]
    return None


async def exchange(port: int, line: bytes, body: bytes = b"", *, patience_s: float = 10.0) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own; for controls, not for load.

    Args:
        port: On loopback.
        line: The request line.
        body: JSON, if any.
        patience_s: Seconds that all of it may take.

    Raises:
        OSError: Nobody listens.
        TimeoutError: The answer does not come.
    """
    async with asyncio.timeout(patience_s):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(
                b"%s\r\nHost: bench\r\nConnection: close\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (line, len(body), body)
            )
            head, _, answer = (await reader.read(-1)).partition(b"\r\n\r\n")
            return int(head.split(b" ", 2)[1]), answer
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
