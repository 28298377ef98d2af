"""A process on the service's core that measures when it is asked, by lines of JSON through its standard streams.

What the service is compared with must run where the service runs, and in a process of its own.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from load_tests import processes
from load_tests.processes import SERVICE_CORE, ProcessFailed, pinned

_LINE_BYTES: Final = 1 << 22
_END_S: Final = 5.0

Ask = Callable[[Any], Awaitable[list[float]]]


@asynccontextmanager
async def companion(module: str, *arguments: object) -> AsyncIterator[Ask]:
    """While the block lasts, what is yielded asks `python -m module arguments…`, which lives on the service's core.

    Raises:
        ProcessFailed: It ended instead of answering.
    """
    with pinned(SERVICE_CORE):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *map(str, arguments)),
            cwd=processes.ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
        )
    asking, answering = process.stdin, process.stdout
    assert asking is not None  # noqa: S101  # it is a pipe
    assert answering is not None  # noqa: S101  # same

    async def ask(question: Any) -> list[float]:
        asking.write(json.dumps(question).encode() + b"\n")
        answer = await answering.readline()
        if not answer:
            raise ProcessFailed(f"{module} ended with exit code {await process.wait()}")
        return list(json.loads(answer))

    try:
        yield ask
    finally:
        asking.close()
        try:
            await asyncio.wait_for(process.wait(), _END_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def answer_lines(answer: Callable[[Any], list[float]]) -> None:
    """The companion's own side: answers every line until there are no more."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()
