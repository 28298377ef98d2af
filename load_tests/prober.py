"""`python -m load_tests.prober PORT SECONDS`: how long the service's event loop lets a trifle wait.

Asks for `/livez` every few milliseconds on one connection and writes the times as one JSON list, in seconds. A process
of its own, so that what the generator does meanwhile does not look like the service; a probe during which this process
itself was late is left out.
"""

import asyncio
import json
import os
import socket
import sys
import time
from contextlib import suppress
from typing import Final

from load_tests import processes

EVERY_S: Final = 0.005
OWN_LATENESS_S: Final = 0.003
"""If this process wakes up so much too late, its core was taken, and the time tells nothing of the service."""

_REQUEST: Final = b"GET /livez HTTP/1.1\r\nHost: probe\r\n\r\n"


def probe(port: int, seconds: float) -> list[float]:
    """Times of the probes, in seconds."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.perf_counter() < end:
            due = time.perf_counter() + EVERY_S
            time.sleep(EVERY_S)
            began = time.perf_counter()
            connection.sendall(_REQUEST)
            if not connection.recv(65_536):
                connection.close()
                return [*times, *probe(port, end - time.perf_counter())]
            if began - due < OWN_LATENESS_S:
                times.append(time.perf_counter() - began)
    return times


async def probing(port: int, seconds: float) -> list[float]:
    """Times of the probes of a process of its own, while this one goes on.

    Raises:
        RuntimeError: It failed.
    """
    command = (sys.executable, "-m", "load_tests.prober", str(port), str(seconds))
    process = await asyncio.create_subprocess_exec(*command, cwd=processes.ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise RuntimeError(f"the prober failed with exit code {process.returncode}")
    return list(map(float, json.loads(said)))


def main() -> None:
    """See the module."""
    with suppress(PermissionError):  # ahead of the generator, where that is allowed: it needs next to nothing
        os.nice(-10)
    sys.stdout.write(json.dumps(probe(int(sys.argv[1]), float(sys.argv[2]))))


if __name__ == "__main__":
    main()
