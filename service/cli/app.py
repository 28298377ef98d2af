"""The commands, and what becomes of errors: one line on stderr and exit code 1, no traceback for a user's mistake."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from features.errors import FeaturesError
from service.cli.batching import batch
from service.cli.checking import check
from service.cli.console import complain
from service.cli.demonstrating import demo
from service.cli.emulating import emulator
from service.cli.loading import load
from service.cli.predicting import predict
from service.cli.putting import put
from service.cli.viewing import view
from service.errors import ServiceError

_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    name="keyscore",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run(arguments: Sequence[str]) -> int:
    """Runs one command; returns the process's exit code."""
    try:
        app(list(arguments), prog_name="keyscore")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except (ServiceError, FeaturesError) as error:
        complain(str(error))
        return 1
    return 0


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"keyscore {version('keyscore')}")
        raise typer.Exit


@app.callback()
def _keyscore(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Send keys, get scores: predictions over an online feature store and a CatBoost model.

    New here? `keyscore demo`, then `keyscore serve`.

    Settings are flags or environment variables: `--sqlite-path` is `KEYSCORE_SQLITE_PATH`; a flag wins.
    """


@app.command(context_settings={**_PASSED_ON, "help_option_names": []})
def serve() -> None:
    """Serve predictions over HTTP.

    Its flags: `keyscore serve --help`.
    """  # `main` hands it through before typer is imported; it is here to be listed


app.command(context_settings=_PASSED_ON)(check)
app.command()(predict)
app.command()(batch)
app.command()(put)
app.command()(load)
app.command()(demo)
app.command()(emulator)
app.add_typer(view)
