"""`keyscore emulator`: Vertex AI Feature Store on this machine, for as long as it runs or a command beside it does."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from service.cli.console import note
from service.cli.options import SqlitePathOption, settings_of
from service.errors import ServiceError

if TYPE_CHECKING:  # at run time it would bring grpc along
    from features.emulator.emulator import Emulator

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what one connects to for an address to listen on


class NotEmulated(ServiceError):
    """The emulator cannot run; says why."""


def emulator(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND...]", help="Run this beside it, pointed at it, and end with it."),
    ] = None,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of gRPC; 0 takes a free one.")] = 8070,
    rest_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of REST and the emulator's own controls; 0 takes a free one.")
    ] = 8071,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    sqlite_path: SqlitePathOption = None,
    latency_ms: Annotated[float, typer.Option(min=0, metavar="N", help="How long every read takes.")] = 0.0,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON list of what goes wrong from the start.")
    ] = None,
    strict_routing: Annotated[
        bool, typer.Option("--strict-routing", help="Refuse calls without a routing header, not only wrong ones.")
    ] = False,
) -> None:
    """Run a server that speaks Vertex AI Feature Store's protocol, on the embedded store's file.

    Serves gRPC (v1 and v1beta1: reads, streamed reads, direct writes) and the REST calls of Google's own SDK, and says
    how to point both this service and the SDK at it. What `keyscore put` and `keyscore load` write is there at once.

    For example:

    - `keyscore emulator`
    - `keyscore emulator --latency-ms 5 --faults faults.json`, with `[{"kind": "error", "share": 0.01}]` in the file
    - `keyscore emulator -- keyscore serve` (a service that reads through it; both end together)
    - `keyscore emulator --port 0 --rest-port 0 -- pytest` (your tests, with the settings in their environment)
    """
    settings, _ = settings_of(sqlite_path=sqlite_path)
    # grpc and a web server take a quarter of a second, and no other command needs them
    from features.emulator.emulator import Emulator, run  # noqa: PLC0415
    from features.emulator.fault_rules import parse_rules, read_rules  # noqa: PLC0415

    own = parse_rules([{"kind": "latency", "ms": latency_ms}] if latency_ms else [])
    rules = (*own, *(read_rules(faults) if faults is not None else ()))
    path = settings.sqlite_path
    try:
        if not command:
            asyncio.run(
                run(
                    path,
                    host=host,
                    port=port,
                    rest_port=rest_port,
                    faults=rules,
                    strict_routing=strict_routing,
                    announce=_say,
                )
            )
            return
        beside = Emulator(path, host=host, port=port, rest_port=rest_port, faults=rules, strict_routing=strict_routing)
        code = asyncio.run(_run_beside(beside, _EVERYWHERE.get(host, host), command))
    except OSError as error:
        raise NotEmulated(error.strerror or str(error)) from error
    raise typer.Exit(code)


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()  # whoever waits for the banner may read it through a pipe


async def _run_beside(emulator: "Emulator", host: str, command: Sequence[str]) -> int:
    """Runs the command while the emulator serves; returns its exit code.

    SIGINT and SIGTERM are handed on as SIGTERM, the second time as SIGKILL; the command decides when all is over.

    Source: `firebase emulators:exec`, which does the same for Google's other emulators.
    """
    async with emulator:
        shown = f"[{host}]" if ":" in host else host
        found = {
            "KEYSCORE_STORE": "vertex",
            "KEYSCORE_VERTEX_ENDPOINT": f"{shown}:{emulator.port}",
            "KEYSCORE_VERTEX_REST_ENDPOINT": f"{shown}:{emulator.rest_port}",
            "KEYSCORE_VERTEX_PLAINTEXT": "1",
        }
        note(f"Vertex AI Feature Store emulator: gRPC on {emulator.port}, REST and faults on {emulator.rest_port}")
        try:
            process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **found})
        except OSError as error:
            raise NotEmulated(f"{command[0]} cannot be run: {error.strerror}") from error
        endings = iter((signal.SIGTERM,))

        def end() -> None:
            if process.returncode is None:
                process.send_signal(next(endings, signal.SIGKILL))

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
        code = await process.wait()
    return code if code >= 0 else 128 - code  # as a shell says it
