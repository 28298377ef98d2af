"""`python -m load_tests.locusting`: locust's users against a service.

One is started for them, unless HOST names one; then the machine is theirs until the end. With `--headless` they run for
`--run-time` and leave an HTML report; else locust's web page is opened. Further arguments are locust's own.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from load_tests.alone import LOCK, claimed
from load_tests.bench import Bench, say
from load_tests.callers import NoMetadata, metadata_of
from load_tests.processes import LOAD_CORE, ROOT, ended_in_order, pinned
from load_tests.verdict import EXIT_CODES, Verdict

LOCUSTFILE: Final = ROOT / "load_tests" / "locustfile.py"
REPORT: Final = ROOT / "var" / "load" / "locust.html"
WEB_PORT: Final = 8089


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="python -m load_tests.locusting", description=__doc__, allow_abbrev=False)
    found.add_argument("--host", type=base_url, help="base URL of a service that runs already")
    found.add_argument("--headless", action="store_true", help="no web page; run, report, end")
    found.add_argument("--users", type=int, default=40, help="how many at once (default: %(default)s)")
    found.add_argument("--run-time", default="60s", help="how long, headless (default: %(default)s)")
    found.add_argument("--html", type=Path, default=REPORT, help="where the report goes (default: %(default)s)")
    return found


def base_url(text: str) -> str:
    """A base URL as it was given.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no base URL: it must begin with http:// or https://")
    return text.rstrip("/")


async def run(arguments: Sequence[str], *, lock: Path = LOCK) -> int:
    """Locust's exit code: 1 if a request failed or was answered wrongly; 2 if there was nothing to ask."""
    chosen, further = parser().parse_known_args(arguments)
    async with AsyncExitStack() as stack:
        stack.enter_context(ended_in_order())
        try:
            host = chosen.host or await _own_service(stack, lock)
            await asyncio.to_thread(metadata_of, host)
        except (MachineTaken, NoMetadata) as error:
            say(str(error))
            return EXIT_CODES[Verdict.VOID]
        command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--host", host, "--users", str(chosen.users)]
        command += ["--spawn-rate", str(max(1, chosen.users // 4)), *further]
        if chosen.headless:
            chosen.html.parent.mkdir(parents=True, exist_ok=True)
            command += ["--headless", "--run-time", chosen.run_time, "--html", str(chosen.html)]
        else:
            command += ["--autostart", "--web-port", str(WEB_PORT)]
            say(f"locust's page is on http://localhost:{WEB_PORT}; stop with Ctrl-C")
        return await _locust(command)


class MachineTaken(RuntimeError):
    """Another run has the machine; the message says which."""


async def _own_service(stack: AsyncExitStack, lock: Path) -> str:
    """Base URL of a service of the demo. The page's users begin at once, too: they would spoil what another run finds.

    Raises:
        MachineTaken: See there.
    """
    taken = stack.enter_context(claimed(lock))
    if taken is not None:
        raise MachineTaken(taken)
    bench = await stack.enter_async_context(Bench.start(bundle="demo", store="sqlite"))
    host = f"http://127.0.0.1:{bench.address[1]}"
    say(f"the demo is served on {host}")
    return host


async def _locust(command: Sequence[str]) -> int:
    """Runs to the end; a signal to stop reaches locust as well, which then ends by itself."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with pinned(LOAD_CORE):
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment)
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def main() -> int:
    """See the module."""
    try:
        return asyncio.run(run(sys.argv[1:]))
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
