"""`keyscore batch`: predictions for every row of a file."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NoReturn

import typer

from features.errors import FeaturesError
from service.cli.console import complain, errors, human_age, note, output, plain_table, walking
from service.cli.options import (
    BundleOption,
    SqlitePathOption,
    StoreOption,
    VertexEndpointOption,
    VertexPlaintextOption,
    VertexRestEndpointOption,
    ViewOption,
    settings_of,
)
from service.errors import JobRefused, ServiceError
from service.offline.formats import STREAM, InputFormat, OnError, OutputFormat, input_format, output_format

if TYPE_CHECKING:  # at run time it would bring CatBoost and pyarrow along
    from service.offline.jobs import Running
    from service.offline.requests import Request

_FAILED_ROWS: Final = 3
_REFUSED: Final = 2
_INTERRUPTED: Final = 130


def batch(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="JSON lines, CSV, Parquet or TFRecord; - is stdin.")],
    target: Annotated[Path, typer.Argument(metavar="OUTPUT", help="JSON lines, CSV or Parquet; - is stdout.")],
    *,
    file_format: Annotated[
        InputFormat | None, typer.Option("--format", help="Of INPUT; by its name if not given.", show_default=False)
    ] = None,
    output_as: Annotated[
        OutputFormat | None,
        typer.Option("--output-format", help="Of OUTPUT; by its name if not given.", show_default=False),
    ] = None,
    detailed: Annotated[
        bool, typer.Option("--detailed", help="Add value, status, source and age of every feature.")
    ] = False,
    extra: Annotated[
        Literal["refuse", "ignore"],
        typer.Option(help="What to do about undeclared columns; ignored ones pass through."),
    ] = "refuse",
    on_error: Annotated[
        OnError, typer.Option(help="A row that cannot be scored ends the job, has no scores, or is left out.")
    ] = OnError.FAIL,
    error_file: Annotated[
        Path | None,
        typer.Option("--errors", metavar="FILE", help="Where failed rows go; OUTPUT.errors.jsonl if not given."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a job that was stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT; begin anew.")] = False,
    max_reads_per_s: Annotated[
        float | None, typer.Option(min=0.1, metavar="N", help="Keys to read from the store per second, at most.")
    ] = None,
    part_rows: Annotated[
        int, typer.Option(min=1, metavar="N", help="Rows in a part: what a kill costs, at most.")
    ] = 131_072,
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Threads for the model; all cores but one if not given.")
    ] = None,
    bundle: BundleOption = None,
    store: StoreOption = None,
    sqlite_path: SqlitePathOption = None,
    view: ViewOption = None,
    vertex_endpoint: VertexEndpointOption = None,
    vertex_rest_endpoint: VertexRestEndpointOption = None,
    vertex_plaintext: VertexPlaintextOption = None,
) -> None:
    """Predict for every row of a file, as the service would, and write the scores beside the rows, in their order.

    Rows are instances as the service takes them; columns of tables go by the names of keys and request fields. OUTPUT
    appears when it is whole: until then, finished parts are in OUTPUT.parts, and `--resume` goes on from them.

    Exit codes: 0 every row has scores; 3 the output is whole, but some rows have none (see the error file); 1 the job
    could not be done, and there is no output; 2 it cannot be done as asked; 130 interrupted.

    For example:

    - `keyscore batch payments.parquet scores.parquet`
    - `keyscore batch payments.csv scores.csv --extra ignore --on-error null`
    - `zcat ids.jsonl.gz | keyscore batch - - --format jsonl --output-format jsonl > scores.jsonl`
    """
    settings, platform = settings_of(
        bundle=bundle,
        store=store,
        sqlite_path=sqlite_path,
        view=view,
        vertex_endpoint=vertex_endpoint,
        vertex_rest_endpoint=vertex_rest_endpoint,
        vertex_plaintext=vertex_plaintext,
    )
    from service.offline.jobs import Running, default_threads, run  # noqa: PLC0415  # a second of imports
    from service.offline.requests import Request, check  # noqa: PLC0415  # same

    running = Running()
    begun = time.monotonic()
    try:
        request = Request(
            input=source,
            output=target,
            input_format=file_format or input_format(source),
            output_format=output_as or output_format(target),
            detailed=detailed,
            extra=extra == "ignore",
            on_error=on_error,
            errors=error_file,
            resume=resume,
            overwrite=overwrite,
            max_reads_per_s=max_reads_per_s,
            threads=threads or default_threads(),
            part_rows=part_rows,
        )
        check(request)
        with walking(f"scoring {'stdin' if source == STREAM else source.name}", lambda: running.done) as progress:
            asyncio.run(run(request, settings, platform, progress, running))
    except JobRefused as error:
        complain(str(error))
        raise typer.Exit(_REFUSED) from None
    except KeyboardInterrupt:
        if not running.placed:
            _end(request, "interrupted", _INTERRUPTED)
    except (ServiceError, FeaturesError) as error:
        complain(str(error))
        _end(request, "", 1)
    _show(request, running, time.monotonic() - begun)
    if running.totals.failed:
        raise typer.Exit(_FAILED_ROWS)


def _end(request: "Request", why: str, code: int) -> NoReturn:
    """Says whether what was done is lost, and how to go on."""
    if why:
        note(why)
    if not request.streams and request.parts.exists():
        note(f"what is finished is kept in {request.parts}; to go on, give the same command with --resume")
    raise typer.Exit(code)


def _show(request: "Request", running: "Running", took_s: float) -> None:
    console = errors() if request.output == STREAM else output()
    totals = running.totals
    table = plain_table("", "", right=("",))
    table.show_header = False
    here = totals.rows - running.done
    speed = f"{here / max(took_s, 1e-3):,.0f} rows/s"
    before = f"; {running.done:,} of them before" if running.done else ""
    table.add_row("rows", f"{totals.rows:,}", f"in {took_s:.1f} s, {speed}{before}")
    failed = "" if not totals.failed or request.error_file is None else f"see {request.error_file}"
    table.add_row("failed", f"{totals.failed:,}", failed)
    table.add_row("defaulted", f"{totals.defaulted:,}", "values that were absent")
    table.add_row("degraded", f"{totals.degraded:,}", "values that could not be read")
    table.add_row("stale", f"{totals.too_old:,}", "values that were too old to be used")
    table.add_row("oldest feature", human_age(totals.oldest_age_s) or "undated", "when it was used")
    table.add_row("keys read", f"{running.keys_read:,}", "from the store")
    console.print(table)
