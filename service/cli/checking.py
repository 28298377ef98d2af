"""`keyscore check`: would a service start and answer?"""

import asyncio
import os
from typing import Final

import typer
from rich.markup import escape

from service.cli.console import output
from service.findings import Finding

_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def check(context: typer.Context) -> None:
    """Look at settings, bundle and store, and say in plain words what is wrong and what to do.

    Takes the flags and environment of `keyscore serve`. Exits with 1 if a service would not start.

    For example:

    - `keyscore check`
    - `keyscore check --bundle models/fraud --sqlite-path var/features.sqlite`
    """
    from service.inspection import inspect  # noqa: PLC0415  # brings CatBoost along, half a second

    console = output()

    def report(found: Finding) -> None:
        style = _STYLES[found.level]
        console.print(f"[{style}]{found.level:<8}[/]{escape(found.about)}: {escape(found.text)}", soft_wrap=True)

    if not asyncio.run(inspect(context.args, os.environ, report)):
        raise typer.Exit(1)
