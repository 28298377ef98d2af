"""`keyscore put`: sets values of one entity's row in the embedded store."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.markup import escape

from features.documents import nearest
from features.errors import InvalidKey
from features.keys import make_key
from features.stores.base import StoredView
from features.stores.sqlite_file import SqliteWriter, StoredRow, connect_read_only
from features.values import DType, EntityKey, Value
from service.cli.console import output, plain_table
from service.cli.declared_keys import key_parts
from service.cli.options import BundleOption, SqlitePathOption, settings_of
from service.column_types import CellRefused, text_values
from service.errors import ServiceError
from service.event_times import event_time_s
from service.settings import Settings

_NULL = "null"


class NotPut(ServiceError):
    """Nothing was written; says why."""


def put(
    view: Annotated[str, typer.Argument(metavar="VIEW", help="A view that the store holds.")],
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
    sqlite_path: SqlitePathOption = None,
) -> None:
    """Set values of one entity in the embedded store; the next read of a running service sees them.

    Other values of the entity stay as they are; an entity that is not there is made. `null` sets null, and a column
    of text takes anything else as it is written.

    For example:

    - `keyscore put customer_account C00017 balance=1250.75`
    - `keyscore put customer_account C00017 home_country=null --event-time 2026-01-31T12:00:00Z`
    - `keyscore put pair_risk C00017 M00031 score=0.25` (a key of two parts)
    - `keyscore put customer_account -- -17 balance=5` (a key that begins with a dash)
    """
    settings, _ = settings_of(bundle=bundle, sqlite_path=sqlite_path)
    path = settings.sqlite_path
    connect_read_only(path).close()  # a slip in the path must not make a new file
    moment = _moment(event_time)
    with SqliteWriter(path) as writer:
        views = writer.views()
        if view not in views:
            held = f"; it holds {', '.join(views)}" if views else ""
            raise NotPut(f"{path} holds no view {view!r}{nearest(view, views) or held}")
        stored = views[view]
        key = _key(words, view, stored, settings)
        values = _values(words[len(stored.keys) :], view, stored)
        before = writer.row(view, key)
        writer.put(view, key, values, moment)
    _show(view, key, stored, before, values)


def _moment(text: str | None) -> float | None:
    try:
        return event_time_s(text)
    except ValueError as error:
        raise NotPut(f"--event-time {error}") from None


def _key(words: Sequence[str], view: str, stored: StoredView, settings: Settings) -> EntityKey:
    names = stored.keys
    first = words[: len(names)]
    by_name = {name: text for name, joined, text in (word.partition("=") for word in first) if joined}
    given = [by_name[name] for name in names] if by_name.keys() == set(names) else list(first)
    if len(first) < len(names) or (given == first and not by_name.keys().isdisjoint({*names, *stored.columns})):
        raise NotPut(f"the key of {view} comes first and has {_counted(names)}: {', '.join(names)}")
    try:
        return make_key(given, key_parts(settings, view, names))
    except InvalidKey as error:
        raise NotPut(f"the key {error}") from None


def _values(words: Sequence[str], view: str, stored: StoredView) -> dict[str, Value]:
    columns = stored.columns
    if not words:
        raise NotPut(f"nothing to set: say column=value; the columns of {view} are {', '.join(columns)}")
    values: dict[str, Value] = {}
    for word in words:
        name, joined, text = word.partition("=")
        if not joined:
            raise NotPut(
                f"{word!r} is no column=value; the key of {view} has {_counted(stored.keys)}: {', '.join(stored.keys)}"
            )
        if name not in columns:
            options = f"; its columns are {', '.join(columns)}"
            raise NotPut(f"{view} has no column {name!r}{nearest(name, columns) or options}")
        if name in values:
            raise NotPut(f"{name!r} is given twice")
        values[name] = _value(name, text, columns[name])
    return values


def _value(name: str, text: str, dtype: DType) -> Value:
    if text == _NULL:
        return None
    if dtype is DType.STRING:
        return text
    if not text:
        raise NotPut(f"{name} has no value; `{name}=null` sets null")
    try:
        (value,) = text_values([text], dtype, declared=True)
    except CellRefused as error:
        raise NotPut(f"{name} {error.reason}") from None
    return value


def _show(view: str, key: EntityKey, stored: StoredView, before: StoredRow | None, values: Mapping[str, Value]) -> None:
    parts = (key,) if isinstance(key, str) else key
    named = ", ".join(f"{name}={part}" for name, part in zip(stored.keys, parts, strict=True))
    console = output()
    console.print(escape(f"{view} {named}{'' if before else ' (new)'}"))
    table = plain_table("column", "was", "is now", right=("was", "is now"))
    for name, value in values.items():
        was = "" if before is None else _shown(before.values.get(name))
        table.add_row(escape(name), escape(was), escape(_shown(value)))
    console.print(table)


def _shown(value: Value) -> str:
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return shlex.quote(value) if value in ("", _NULL) else str(value)


def _counted(names: Sequence[str]) -> str:
    return "one part" if len(names) == 1 else f"{len(names)} parts"
