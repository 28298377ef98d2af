"""`keyscore put`: sets values of one entity's row in the online store."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.markup import escape

from features.documents import nearest
from features.stores.base import StoredView
from features.stores.sqlite_file import connect_read_only
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.values import EntityKey, Value
from service.cli.console import output, plain_table
from service.cli.declared_keys import key_parts
from service.cli.options import (
    BundleOption,
    SqlitePathOption,
    StoreOption,
    VertexEndpointOption,
    VertexPlaintextOption,
    settings_of,
)
from service.cli.put_words import NotPut, check_column, key_of, named_key, pairs_of, shown, value_of
from service.event_times import event_time_s


def put(
    view: Annotated[
        str, typer.Argument(metavar="VIEW", help="A view of the embedded store or of the bundle, or a resource name.")
    ],
    words: Annotated[
        list[str], typer.Argument(metavar="KEY... NAME=VALUE...", help="The parts of the key, then columns to set.")
    ],
    *,
    event_time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="When the values came to be: ISO 8601 with a zone, or Unix seconds. Now if not given."
        ),
    ] = None,
    bundle: BundleOption = None,
    store: StoreOption = None,
    sqlite_path: SqlitePathOption = None,
    vertex_endpoint: VertexEndpointOption = None,
    vertex_plaintext: VertexPlaintextOption = None,
) -> None:
    """Set values of one entity in the online store; the next read of a running service sees them.

    Other values of the entity stay as they are; an entity that is not there is made. `null` sets null, and a column
    of text takes anything else as it is written.

    With `--store vertex` the values go to a feature view of Vertex AI by a direct write. Its columns have the types
    that the bundle reads them as; where it says nothing, a value is written as what it looks like (`7` an integer,
    `7.0` a float, `true` a bool, anything else text), and that is said.

    For example:

    - `keyscore put customer_account C00017 balance=1250.75`
    - `keyscore put customer_account C00017 home_country=null --event-time 2026-01-31T12:00:00Z`
    - `keyscore put pair_risk C00017 M00031 score=0.25` (a key of two parts)
    - `keyscore put customer_account -- -17 balance=5` (a key that begins with a dash)
    - `keyscore put customer_account C00017 balance=5 --store vertex` (for an emulator, its settings in the environment)
    """
    settings, platform = settings_of(
        bundle=bundle,
        store=store,
        sqlite_path=sqlite_path,
        vertex_endpoint=vertex_endpoint,
        vertex_plaintext=vertex_plaintext,
    )
    moment = _moment(event_time)
    if settings.store == "vertex":
        from service.cli.putting_vertex import put_to_vertex  # noqa: PLC0415  # brings grpc along

        put_to_vertex(view, words, moment, settings, platform)
        return
    path = settings.sqlite_path
    connect_read_only(path).close()  # a slip in the path must not make a new file
    with SqliteWriter(path) as writer:
        views = writer.views()
        if view not in views:
            held = f"; it holds {', '.join(views)}" if views else ""
            raise NotPut(f"{path} holds no view {view!r}{nearest(view, views) or held}")
        stored = views[view]
        key = key_of(words, view, key_parts(settings, view, stored.keys), stored.columns)
        values = _values(words[len(stored.keys) :], view, stored)
        before = writer.row(view, key)
        writer.put(view, key, values, moment)
    _show(view, key, stored, before, values)


def _moment(text: str | None) -> float | None:
    try:
        return event_time_s(text)
    except ValueError as error:
        raise NotPut(f"--event-time {error}") from None


def _values(words: Sequence[str], view: str, stored: StoredView) -> dict[str, Value]:
    pairs = pairs_of(words, view, stored.keys, stored.columns)
    for name in pairs:
        check_column(name, view, stored.columns)
    return {name: value_of(name, text, stored.columns[name]) for name, text in pairs.items()}


def _show(view: str, key: EntityKey, stored: StoredView, before: StoredRow | None, values: Mapping[str, Value]) -> None:
    console = output()
    console.print(escape(f"{view} {named_key(key, stored.keys)}{'' if before else ' (new)'}"))
    table = plain_table("column", "was", "is now", right=("was", "is now"))
    for name, value in values.items():
        was = "" if before is None else shown(before.values.get(name))
        table.add_row(escape(name), escape(was), escape(shown(value)))
    console.print(table)
