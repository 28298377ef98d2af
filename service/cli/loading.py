"""`keyscore load`: fills a view of the embedded store from a file."""

import shlex
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from features.documents import nearest
from features.keys import KeyPart
from features.values import DType
from service.cli.console import note, output, plain_table, walking
from service.cli.declared_keys import declared_keys, key_parts
from service.cli.options import BundleOption, SqlitePathOption, settings_of
from service.loading import Loaded, LoadPlan, Survey
from service.loading import load as load_view
from service.loading import survey as survey_file
from service.settings import DEMO_BUNDLE, Settings
from service.tables import Format, open_table


def load(
    view: Annotated[str, typer.Argument(metavar="VIEW", help="The view to fill; what it held is replaced.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a header, JSON lines, or Parquet; also .gz.")],
    *,
    key: Annotated[
        list[str] | None, typer.Option("--key", metavar="COLUMN", help="A column of the key; repeat it, in order.")
    ] = None,
    event_time: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="When a row's values came to be: ISO 8601 with a zone, or Unix seconds."),
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=TYPE", help="float, int, bool or string, where the file should not decide."),
    ] = None,
    skip: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="A column to leave out.")] = None,
    file_format: Annotated[
        Format | None, typer.Option("--format", help="By the file's name if not given.", show_default=False)
    ] = None,
    duplicates: Annotated[
        Literal["refuse", "last"], typer.Option(help="What to do about a key that comes again.")
    ] = "refuse",
    bundle: BundleOption = None,
    sqlite_path: SqlitePathOption = None,
) -> None:
    """Fill a view of the embedded store from a file, all of it or nothing.

    Types are found out over the whole file. A column of CSV is made of numbers only where nothing is lost by it, so
    `007` stays text; an empty cell is null. Keys are always text.

    For example:

    - `keyscore load transactions rows.csv --key transaction_id`
    - `keyscore load customer_account accounts.parquet --key customer_id --event-time updated_at`
    - `keyscore load pair_risk pairs.jsonl.gz --key customer_id --key merchant_id --dtype score=float`
    """
    settings, _ = settings_of(bundle=bundle, sqlite_path=sqlite_path)
    table = open_table(file, file_format)
    plan = LoadPlan(
        view=view,
        keys=_keys(settings, view, key, file),
        event_time=event_time,
        dtypes=dict(_dtype(one) for one in dtype or ()),
        skipped=frozenset(skip or ()),
        last_wins=duplicates == "last",
    )
    begun = time.monotonic()
    with walking(f"reading {file.name}") as progress:
        surveyed = survey_file(table, plan, progress)
    with walking(f"loading {view}") as progress:
        loaded = load_view(table, plan, surveyed, settings.sqlite_path, progress)
    _show(settings, plan, surveyed, loaded, time.monotonic() - begun)


def _keys(settings: Settings, view: str, names: list[str] | None, file: Path) -> tuple[KeyPart, ...]:
    if names:
        return key_parts(settings, view, names)
    declared = declared_keys(settings, view)
    if declared is None:
        raise typer.BadParameter(f"say which column of {file} is the key", param_hint="--key")
    note(f"key: {', '.join(part.name for part in declared)}, as the bundle says")
    return declared


def _dtype(text: str) -> tuple[str, DType]:
    name, _, dtype = text.rpartition("=")
    if not name or dtype not in list(DType):
        raise typer.BadParameter(
            f"{text!r} must be COLUMN=TYPE with one of {', '.join(DType)}{nearest(dtype, list(DType))}",
            param_hint="--dtype",
        )
    return name, DType(dtype)


def _show(settings: Settings, plan: LoadPlan, surveyed: Survey, loaded: Loaded, took_s: float) -> None:
    console = output()
    table = plain_table("column", "type", "empty", right=("empty",))
    for part in plan.keys:
        table.add_row(escape(part.name), "key", "")
    if plan.event_time is not None:
        table.add_row(escape(plan.event_time), "event time", "")
    for name, column in surveyed.columns.items():
        kind = f"{column.dtype} (given)" if column.declared else str(column.dtype)
        empty = surveyed.rows - column.filled
        table.add_row(escape(name), kind if column.filled else f"{kind} (no value)", f"{empty:,}" if empty else "")
    console.print(table)
    replaced = f" in place of {loaded.replaced:,}" if loaded.replaced else ""
    repeated = f"; {loaded.repeated:,} gave way to later ones with the same key" if loaded.repeated else ""
    speed = f"{surveyed.rows / max(took_s, 1e-3):,.0f} rows/s"
    console.print(
        escape(
            f"\n{plan.view} in {settings.sqlite_path} holds {loaded.rows:,} rows{replaced}{repeated} "
            f"({took_s:.1f} s, {speed})."
        ),
        soft_wrap=True,
    )
    console.print(escape(f"Next: {_next(settings, plan)}"), soft_wrap=True)


def _next(settings: Settings, plan: LoadPlan) -> str:
    """The command that shows whether a model can work with what was loaded."""
    words = ["keyscore", "check"]
    if declared_keys(settings, plan.view) is None:
        bundle = settings.bundle if settings.bundle not in (None, DEMO_BUNDLE) else "MODEL_DIRECTORY"
        words += ["--bundle", str(bundle), "--view", plan.view]
    elif settings.bundle is not None:
        words += ["--bundle", settings.bundle]
    if settings.sqlite_path != Settings.model_fields["sqlite_path"].default:
        words += ["--sqlite-path", str(settings.sqlite_path)]
    return shlex.join(words)
