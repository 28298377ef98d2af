"""From a file of rows to a view of the embedded store.

    open_table ──► survey: one walk settles the types ──► load: a second walk writes, in one transaction

Nothing is in the store unless every row of the file is fine. Memory is bounded by a batch; what grows with the file
(the rows of the transaction, the keys that are compared) is sqlite's, on disk.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from features.column_types import CellRefused, PlainType, TextType, plain_values, text_values
from features.documents import nearest
from features.errors import InvalidKey
from features.keys import KeyPart, make_key
from features.spec_parsing import NAME
from features.stores.sqlite_file import encode_key
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.values import DType, EntityKey, Value
from service.errors import TableError
from service.event_times import event_time_s
from service.tables import Batch, Table

Progress = Callable[[int, float], None]
"""Told how many rows have been walked and which share of the file that is."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is to become of a file's columns.

    Attributes:
        view: The view to fill.
        keys: The columns that make the key, in order.
        event_time: The column that says when a row's values came to be, if one does.
        dtypes: Types that are given and not to be found out.
        skipped: Columns to leave out.
        last_wins: Whether a repeated key replaces the row before it; else it is refused.
    """

    view: str
    keys: tuple[KeyPart, ...]
    event_time: str | None = None
    dtypes: Mapping[str, DType] = field(default_factory=dict)
    skipped: frozenset[str] = frozenset()
    last_wins: bool = False

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the key columns."""
        return tuple(part.name for part in self.keys)

    @property
    def apart(self) -> frozenset[str | None]:
        """Columns that are not stored as values."""
        return self.skipped | {*self.key_names, self.event_time}


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A column that is to be stored.

    Attributes:
        dtype: Its type.
        filled: In how many rows it has a value.
        declared: Whether the type was given.
    """

    dtype: DType
    filled: int
    declared: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file holds: how many rows, and the columns to store, by name in the file's order."""

    rows: int
    columns: Mapping[str, Surveyed]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did.

    Attributes:
        rows: Rows that the view holds now.
        replaced: Rows that it held before.
        repeated: Rows of the file that gave way to a later one with the same key.
    """

    rows: int
    replaced: int
    repeated: int


def survey(table: Table, plan: LoadPlan, progress: Progress) -> Survey:
    """Walks the file once and settles the type of every column that is to be stored.

    Raises:
        TableError: The file cannot be read, lacks a column that the plan names, or holds what a store does not keep.
    """
    if not NAME.fullmatch(plan.view):
        raise TableError(
            f"{plan.view!r} cannot name a view; use letters, digits, _ and -, and do not begin with a digit"
        )
    found: dict[str, TextType | PlainType] = {}
    names: dict[str, None] = {}
    rows = 0
    for batch in table.batches():
        names.update(dict.fromkeys(batch.columns))
        if table.uniform and not rows:  # a slip of the keyboard need not wait for the end of a long file
            _check_columns(table, plan, list(names))
        rows += len(batch.places)
        for name, values in batch.columns.items():
            if name not in plan.apart:
                _take(found.setdefault(name, TextType() if table.textual else PlainType()), name, values, batch, table)
        progress(rows, batch.share)
    if not rows:
        raise TableError(f"{table.path} holds no rows")
    _check_columns(table, plan, list(names))
    return Survey(rows, {name: _settled(table, plan, name, column) for name, column in found.items()})


def load(table: Table, plan: LoadPlan, surveyed: Survey, store: Path, progress: Progress) -> Loaded:
    """The view holds the rows of the file and no others.

    Args:
        table: The file.
        plan: What is to become of its columns.
        surveyed: What `survey` found.
        store: The embedded store's file; made if it is not there.
        progress: Told about the walk.

    Raises:
        TableError: A row is not fine; the store is as it was.
        StoreFileError: The store cannot be written; likewise.
    """
    columns = {name: column.dtype for name, column in surveyed.columns.items()}
    with SqliteWriter(store) as writer:
        replaced = writer.row_count(plan.view)
        count = writer.replace_view(plan.view, plan.key_names, columns, _rows(table, plan, surveyed, progress))
        if count < surveyed.rows and not plan.last_wins:
            raise _repeated_key(table, plan)
    return Loaded(count, replaced, surveyed.rows - count)


def _take(column: TextType | PlainType, name: str, values: Sequence[Any], batch: Batch, table: Table) -> None:
    try:
        if isinstance(column, TextType):
            column.take(values)
        else:
            column.take(values, batch.places)
    except CellRefused as error:
        reason = f"{error.reason}; `--skip {name}` leaves the column out"
        raise _at(table, batch.places[error.at], f"column {name!r} {reason}") from error


def _settled(table: Table, plan: LoadPlan, name: str, column: TextType | PlainType) -> Surveyed:
    if name in plan.dtypes:
        return Surveyed(plan.dtypes[name], column.filled, declared=True)
    dtype = column.dtype()
    if dtype is None and isinstance(column, PlainType):
        seen = " and ".join(f"{kind} in {table.unit} {place}" for kind, place in column.seen.items())
        raise TableError(
            f"{table.path}: column {name!r} is {seen}; make them alike, or say which it is with `--dtype {name}=…`"
        )
    return Surveyed(dtype or DType.FLOAT, column.filled, declared=False)


def _check_columns(table: Table, plan: LoadPlan, names: list[str]) -> None:
    stored = [name for name in names if name not in plan.apart]
    event_time = () if plan.event_time is None else (plan.event_time,)
    for name in (*plan.key_names, *event_time, *plan.dtypes, *sorted(plan.skipped)):
        if name not in names:
            raise TableError(
                f"{table.path} has no column {name!r}; its columns are {_listed(names)}{_hint(name, names)}"
            )
    for name in plan.dtypes:
        if name not in stored:
            raise TableError(f"--dtype {name}: the column is the key or the event time, or is skipped; it has no type")
    if not stored:
        raise TableError(f"{table.path} holds no column to store; its columns are {_listed(names)}")
    if "" in stored:
        raise TableError(
            f"{table.path}: column {names.index('') + 1} has no name (pandas writes its index so, unless "
            "`index=False`); name it, or leave it out with `--skip ''`"
        )
    for name in names:
        if not name.isprintable():
            raise TableError(f"{table.path}: the column name {name!r} holds characters that cannot be printed")


def _hint(name: str, names: list[str]) -> str:
    if len(names) == 1:
        for separator, word in _OTHER_SEPARATORS.items():
            if separator in names[0]:
                return f"; it seems to be separated by {word}: write it with commas"
    return nearest(name, names)


def _listed(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _rows(table: Table, plan: LoadPlan, surveyed: Survey, progress: Progress) -> Iterator[StoredRow]:
    walked = 0
    for batch in table.batches():
        moments = _moments(table, plan, batch)
        columns = [_values(table, name, column, batch) for name, column in surveyed.columns.items()]
        for (_, key), moment, *values in zip(_keys(table, plan, batch), moments, *columns, strict=True):
            yield StoredRow(key, dict(zip(surveyed.columns, values, strict=True)), moment)
        walked += len(batch.places)
        progress(walked, batch.share)


def _keys(table: Table, plan: LoadPlan, batch: Batch) -> Iterator[tuple[int, EntityKey]]:
    parts = [_column(batch, name) for name in plan.key_names]
    for place, values in zip(batch.places, zip(*parts, strict=True), strict=True):
        try:
            yield place, make_key(values, plan.keys)
        except InvalidKey as error:
            raise _at(table, place, f"the key {error}") from error


def _moments(table: Table, plan: LoadPlan, batch: Batch) -> Iterator[float | None]:
    if plan.event_time is None:
        yield from [None] * len(batch.places)
        return
    for place, value in zip(batch.places, _column(batch, plan.event_time), strict=True):
        try:
            yield event_time_s(value)
        except ValueError as error:
            raise _at(table, place, f"column {plan.event_time!r} {error}") from error


def _values(table: Table, name: str, column: Surveyed, batch: Batch) -> list[Value]:
    values = _column(batch, name)
    try:
        if table.textual:
            return text_values(values, column.dtype, declared=column.declared)
        return plain_values(values, column.dtype)
    except CellRefused as error:
        raise _at(table, batch.places[error.at], f"column {name!r} {error.reason}") from error


def _column(batch: Batch, name: str) -> Sequence[Any]:
    return batch.columns.get(name) or [None] * len(batch.places)


def _repeated_key(table: Table, plan: LoadPlan) -> TableError:
    """The first two rows with the same key, found in a temporary database, because the keys may not fit into memory."""
    seen = sqlite3.connect("")
    try:
        seen.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, place INTEGER) WITHOUT ROWID")
        for batch in table.batches():
            for place, key in _keys(table, plan, batch):
                text = encode_key(key)
                if seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (text, place)).rowcount == 0:
                    (first,) = seen.execute("SELECT place FROM seen WHERE key = ?", (text,)).fetchone()
                    return _at(
                        table,
                        place,
                        f"the key {text!r} was in {table.unit} {first} already; "
                        "remove one of them, or keep the later with `--duplicates last`",
                    )
    finally:
        seen.close()
    return TableError(f"{table.path} changed while it was being read")


def _at(table: Table, place: int, what: str) -> TableError:
    return TableError(f"{table.path}: {table.unit} {place}: {what}")


_LISTED: Final = 20
_OTHER_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}
