"""`keyscore view create | sync | status`: from a BigQuery table to a feature view that serves it."""

import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from features.stores.vertex_names import regional_host
from service.cli.console import errors, human_age, note, output
from service.cli.options import BundleOption, VertexPlaintextOption, VertexRestEndpointOption, settings_of
from service.cli.vertex_views import VertexView, vertex_view
from service.errors import ServiceError
from service.vertex_admin_client import AdminFailed, Sync, ViewAdmin

_TABLE: Final = re.compile(r"[^.\s/]+\.[^.\s:/]+\.[^.\s:/]+")
_LOOK_EVERY_S: Final = 2.0
_LINE_EVERY_S: Final = 30.0  # where there is no terminal to show a clock on

ViewArgument = Annotated[
    str, typer.Argument(metavar="VIEW", help="The view's name in the bundle, or its whole resource name.")
]

view = typer.Typer(name="view", no_args_is_help=True, rich_markup_mode="markdown")


class NotAdministered(ServiceError):
    """Nothing was done, or it did not end well; says why."""


@view.callback()
def _view() -> None:
    """Administer feature views of Vertex AI Feature Store: make one of a BigQuery table, sync it, see how it is.

    Uses Google's own client, the extra `admin`: `pip install --require-hashes --no-deps -r requirements-admin.lock`.
    """


@view.command()
def create(
    name: ViewArgument,
    *,
    bigquery_table: Annotated[
        str, typer.Option(metavar="PROJECT.DATASET.TABLE", help="Where the rows are: one row for each entity.")
    ],
    entity_column: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Column of the key; again for each further part. The bundle's, if not given."),
    ] = None,
    cron: Annotated[
        str | None, typer.Option(metavar='"M H D M W"', help="When to sync; only when asked, if not given.")
    ] = None,
    create_store: Annotated[
        bool, typer.Option("--create-store", help="Make the online store, on Bigtable, if there is none yet.")
    ] = False,
    min_nodes: Annotated[int, typer.Option(min=1, help="Fewest nodes of a new store.")] = 1,
    max_nodes: Annotated[int, typer.Option(min=1, help="Most nodes of a new store; at most ten times the fewest.")] = 3,
    bundle: BundleOption = None,
    vertex_rest_endpoint: VertexRestEndpointOption = None,
    vertex_plaintext: VertexPlaintextOption = None,
) -> None:
    """Make a feature view on a BigQuery table, and the online store around it if asked.

    A view serves nothing before its first sync: `keyscore view sync VIEW --wait`.

    For example:

    - `keyscore view create customer_account --bigquery-table bank.features.customer_account --create-store`
    - `keyscore view create projects/bank/locations/europe-west1/featureOnlineStores/fraud/featureViews/pair_risk
      --bigquery-table bank.features.pair_risk --entity-column customer_id --entity-column merchant_id
      --cron "0 * * * *"`
    """
    table = bigquery_table.removeprefix("bq://")
    if not _TABLE.fullmatch(table):
        raise NotAdministered(f"--bigquery-table must be project.dataset.table, not {bigquery_table!r}")
    if not min_nodes <= max_nodes <= 10 * min_nodes:
        raise NotAdministered("--max-nodes must be from --min-nodes to ten times that")
    target, endpoint, plaintext = _located(name, bundle, vertex_rest_endpoint, vertex_plaintext)
    keys = entity_column or ([part.name for part in target.declared.entity.keys] if target.declared else [])
    if not keys:
        raise NotAdministered("no bundle declares this view: name the column of its key with --entity-column")
    admin = ViewAdmin(endpoint, plaintext=plaintext)
    if create_store:
        _make_store(admin, target, min_nodes, max_nodes)
    _await_operation(admin, admin.begin_view(target.name, table, keys, cron), f"making the view {target.name.view}")
    _say(f"made the view {target.resource}")
    when = f"at {cron!r}" if cron else "when asked"
    _say(f"it reads {table} by {', '.join(keys)} and syncs {when}\nNext: keyscore view sync {name} --wait")


@view.command()
def sync(
    name: ViewArgument,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end, and say how it went.")] = False,
    bundle: BundleOption = None,
    vertex_rest_endpoint: VertexRestEndpointOption = None,
    vertex_plaintext: VertexPlaintextOption = None,
) -> None:
    """Copy the table's rows to the online store now.

    For example:

    - `keyscore view sync customer_account --wait`
    """
    target, endpoint, plaintext = _located(name, bundle, vertex_rest_endpoint, vertex_plaintext)
    admin = ViewAdmin(endpoint, plaintext=plaintext)
    begun = admin.begin_sync(target.resource)
    _say(f"began {begun}")
    if not wait:
        _say(f"Next: keyscore view status {name}")
        return
    latest = admin.sync(begun)

    def ended() -> bool:
        nonlocal latest
        latest = admin.sync(begun)
        return latest.done

    _await(ended, f"syncing {target.name.view}", lambda: f"{latest.rows:,} rows")
    if latest.error:
        raise NotAdministered(f"the sync failed: {_line(latest.error)}")
    _say(f"synced {latest.rows:,} rows in {_took(latest)}")


@view.command()
def status(
    name: ViewArgument,
    *,
    bundle: BundleOption = None,
    vertex_rest_endpoint: VertexRestEndpointOption = None,
    vertex_plaintext: VertexPlaintextOption = None,
) -> None:
    """Say where a view's rows come from, and how its last sync went.

    For example:

    - `keyscore view status customer_account`
    """
    target, endpoint, plaintext = _located(name, bundle, vertex_rest_endpoint, vertex_plaintext)
    admin = ViewAdmin(endpoint, plaintext=plaintext)
    found, syncs = admin.view(target.resource), admin.syncs(target.resource)
    last = syncs[0] if syncs else None
    failed = next((one for one in syncs if one.error), None)
    lines = {
        "view": target.resource,
        "state": _state(last),
        "source": found.source,
        "keys": ", ".join(found.keys),
        "syncs": "continuously" if found.continuous else found.cron or "when asked",
    }
    if last is not None:
        lines |= {"last sync": _moment(last.began or last.created), "ended": _moment(last.ended)}
        lines["rows synced"] = f"{last.rows:,}" + (f" in {_took(last)}" if last.ended else " so far")
    if failed is not None:
        lines["latest error"] = f"{_line(failed.error)} ({_moment(failed.ended or failed.created)})"
    table = Table.grid(padding=(0, 2))
    for heading, text in lines.items():
        table.add_row(heading, escape(text))
    output().print(table, soft_wrap=True)


def _located(
    name: str, bundle: str | None, rest_endpoint: str | None, plaintext: bool | None
) -> tuple[VertexView, str, bool]:
    """The view, the host[:port] that administers it, and whether that is plaintext."""
    settings, platform = settings_of(bundle=bundle, vertex_rest_endpoint=rest_endpoint, vertex_plaintext=plaintext)
    target = vertex_view(name, settings, platform)
    if settings.vertex_rest_endpoint is None and settings.vertex_plaintext:
        raise NotAdministered("KEYSCORE_VERTEX_REST_ENDPOINT is not set: say where the emulator's REST port is")
    return target, settings.vertex_rest_endpoint or regional_host(target.name.location), settings.vertex_plaintext


def _make_store(admin: ViewAdmin, target: VertexView, min_nodes: int, max_nodes: int) -> None:
    store = f"{target.name.parent}/featureOnlineStores/{target.name.store}"
    try:
        operation = admin.begin_store(target.name, min_nodes, max_nodes)
    except AdminFailed as failed:
        if failed.code != "ALREADY_EXISTS":
            raise
        _say(f"the store {store} is there already")
        return
    _await_operation(admin, operation, f"making the store {target.name.store} (some minutes)")
    _say(f"made the store {store}: Bigtable, {min_nodes} to {max_nodes} nodes")


def _await_operation(admin: ViewAdmin, operation: Any, what: str) -> None:
    _await(lambda: admin.ended(operation), what, str)


def _await(ended: Callable[[], bool], what: str, progress: Callable[[], str]) -> None:
    """Looks until it has ended, and shows that it is still being waited for."""
    if ended():
        return
    begun = said = time.monotonic()
    console = errors()
    with console.status(escape(f"{what} …")) as shown:
        while not ended():
            time.sleep(_LOOK_EVERY_S)
            now = time.monotonic()
            text = f"{what} … {' '.join(filter(None, (progress(), human_age(now - begun))))}"
            shown.update(escape(text))
            if not console.is_terminal and now - said >= _LINE_EVERY_S:
                said = now
                note(text)


def _state(last: Sync | None) -> str:
    if last is None:
        return "never synced, so it serves nothing yet"
    if last.error:
        return "the last sync failed; what was synced before is still served"
    return "synced" if last.done else "syncing"


def _took(sync: Sync) -> str:
    if sync.ended is None:
        return "an unknown time"
    return human_age((sync.ended - (sync.began or sync.created)).total_seconds())


def _moment(moment: datetime | None) -> str:
    return "not yet" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _say(text: str) -> None:
    output().print(escape(text), soft_wrap=True)


def _line(text: str) -> str:
    return " ".join(text.split())
