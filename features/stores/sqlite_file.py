"""The embedded store's file: its layout, and the one way to write it.

A sqlite database in WAL mode, so that one process can write while others read. Two tables:

    views(name, keys, columns)   which views there are: JSON list of key names, JSON object of column to dtype
    rows(view, key, row)         one row per entity key: {"values": {...}, "event_time": s, "event_times": {...}}

Values are JSON because it keeps integers, floats, booleans and text apart and exact (floats as their shortest text
that reads back to the same 64 bits), takes a new column without a migration, and can be read by a person with the
`sqlite3` shell. A composite key is stored as the JSON list of its parts.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from features.clock import Clock, SystemClock
from features.errors import StoreFileError
from features.stores.base import StoredView
from features.values import Column, DType, EntityKey, Value, as_dtype

_APPLICATION_ID: Final = 0x4B53_4652  # "KSFR"; lets `file` and us tell our databases from others
_VERSION: Final = 1
_SCHEMA: Final = (
    "CREATE TABLE views (name TEXT PRIMARY KEY, keys TEXT NOT NULL, columns TEXT NOT NULL) STRICT",
    """CREATE TABLE rows (
        view TEXT NOT NULL, key TEXT NOT NULL, row BLOB NOT NULL, PRIMARY KEY (view, key)
    ) STRICT, WITHOUT ROWID""",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)
_BUSY_TIMEOUT_S: Final = 5.0  # a writer waits for another writer, as a person would


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One entity's values on their way into the file.

    Attributes:
        key: The entity key.
        values: Column name to value; None is null.
        event_time: When the values came to be, Unix seconds, if known.
        event_times: The same for single columns that differ.
    """

    key: EntityKey
    values: Mapping[str, Value]
    event_time: float | None = None
    event_times: Mapping[str, float | None] | None = None


def encode_key(key: EntityKey) -> str:
    """The text under which a key's row is stored."""
    return key if isinstance(key, str) else orjson.dumps(key).decode()


class ImmutableConnection(sqlite3.Connection):
    """A connection to a file that was declared never to change; whoever holds it watches whether it did."""


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that sees every committed write and makes none, from a read-only root too.

    Raises:
        StoreFileError: The file is missing, locked, not a database, or not one of ours.
    """
    try:
        there = path.is_file()
    except OSError as error:
        raise StoreFileError(f"the store's file {path} is out of reach: {error.strerror}") from error
    if path.is_dir():
        raise StoreFileError(f"the store's file {path} is a directory; KEYSCORE_SQLITE_PATH names a file in it")
    if not there:
        raise StoreFileError(
            f"the store's file {path} does not exist; "
            "`keyscore demo` or `keyscore load VIEW FILE` makes one, KEYSCORE_SQLITE_PATH names another"
        )
    try:
        return _connect_to_ours(path, "mode=ro", timeout_s=0.5)
    except sqlite3.OperationalError as error:
        if "unable to open" not in str(error) and "readonly" not in str(error):
            raise file_error(path, error) from error
        return _connect_immutable(path)
    except sqlite3.Error as error:
        raise file_error(path, error) from error


def log_holds_writes(path: Path) -> bool:
    """Whether beside the file lies a log with writes that are not merged into it."""
    try:
        return path.with_name(path.name + "-wal").stat().st_size > 0
    except OSError:
        return False


def file_error(path: Path, error: sqlite3.Error) -> StoreFileError:
    """What sqlite said, in words that name the file and what to do."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return StoreFileError(f"the store's file {path} is locked by another process; end it and try again")
    if "not a database" in text or "malformed" in text:
        return StoreFileError(
            f"the store's file {path} is not a sqlite database or is damaged; build it anew with `keyscore demo` "
            "or `keyscore load VIEW FILE`"
        )
    return StoreFileError(f"the store's file {path} cannot be used: {text}")


def describe(connection: sqlite3.Connection) -> dict[str, StoredView]:
    """The views that the file declares, by name.

    Raises:
        StoreFileError: A declaration cannot be read.
    """
    try:
        return {
            name: StoredView(
                tuple(orjson.loads(keys)),
                {column: DType(dtype) for column, dtype in orjson.loads(columns).items()},
            )
            for name, keys, columns in connection.execute("SELECT name, keys, columns FROM views ORDER BY name")
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreFileError("the store's list of views is damaged; build the file anew") from error


def count_rows(connection: sqlite3.Connection, view: str) -> int:
    """How many rows the view holds."""
    return int(connection.execute("SELECT count(*) FROM rows WHERE view = ?", (view,)).fetchone()[0])


class SqliteWriter:
    """Writes the embedded store's file; everything between enter and exit is one transaction.

    Readers see all of it or nothing, also after a kill. Makes the file and its folder if need be.
    """

    __slots__ = ("_clock", "_connection", "_path")

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _connect(path, "mode=rwc", timeout_s=_BUSY_TIMEOUT_S)
        except OSError as error:
            raise StoreFileError(f"the folder of {path} cannot be made: {error.strerror}") from error
        except sqlite3.Error as error:
            raise file_error(path, error) from error

    def __enter__(self) -> Self:
        try:
            if not self._empty():
                _check_ours(self._connection, self._path)  # before anything is changed: it may be somebody else's
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")  # a committed write survives a power cut
            self._connection.execute("BEGIN IMMEDIATE")
            if self._empty():
                for statement in _SCHEMA:
                    self._connection.execute(statement)
        except sqlite3.Error as error:
            self._connection.close()
            raise file_error(self._path, error) from error
        except StoreFileError:
            self._connection.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
            # Merged at once, so that the file is whole by itself: a log left behind, because a reader is attached,
            # would be read into whatever file is moved to this place next.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as failure:
            raise file_error(self._path, failure) from failure
        finally:
            self._connection.close()
        if isinstance(error, sqlite3.Error):
            raise file_error(self._path, error) from error

    def _empty(self) -> bool:
        return not self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]

    def views(self) -> dict[str, StoredView]:
        """The views that the file holds now, by name."""
        return describe(self._connection)

    def row_count(self, view: str) -> int:
        """How many rows the view holds now; 0 for a view that the file does not declare."""
        return count_rows(self._connection, view)

    def row(self, view: str, key: EntityKey) -> StoredRow | None:
        """One entity's row as it stands now, if there is one.

        Raises:
            StoreFileError: The row cannot be read.
        """
        record = self._record(view, key)
        if record is None:
            return None
        return StoredRow(key, record["values"], record.get("event_time"), record.get("event_times"))

    def _record(self, view: str, key: EntityKey) -> dict[str, Any] | None:
        found = self._connection.execute(
            "SELECT row FROM rows WHERE view = ? AND key = ?", (view, encode_key(key))
        ).fetchone()
        if found is None:
            return None
        try:
            record: dict[str, Any] = orjson.loads(found[0])
            record["values"].keys()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreFileError(f"a row of {view} in {self._path} is damaged; load the view again") from error
        return record

    def replace_view(
        self,
        name: str,
        keys: tuple[str, ...],
        columns: Mapping[str, DType],
        rows: Iterable[StoredRow],
    ) -> int:
        """Declares the view and puts these rows in place of all that it held; a repeated key: the last row wins.

        Returns:
            How many rows the view holds now.

        Raises:
            ValueMismatch: A value does not fit its column's type.
            StoreFileError: The file cannot be written.
        """
        try:
            self._connection.execute("DELETE FROM rows WHERE view = ?", (name,))
            self._connection.execute(
                "INSERT OR REPLACE INTO views VALUES (?, ?, ?)",
                (name, orjson.dumps(keys).decode(), orjson.dumps(dict(columns)).decode()),
            )
            typed = [Column(column, dtype) for column, dtype in columns.items()]
            self._connection.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)",
                ((name, encode_key(row.key), _encode_row(row, typed)) for row in rows),
            )
            return count_rows(self._connection, name)
        except sqlite3.Error as error:
            raise file_error(self._path, error) from error

    def put(self, view: str, key: EntityKey, values: Mapping[str, Value], event_time: float | None = None) -> None:
        """Sets some values of one entity's row, leaves the others and their event times as they are.

        Args:
            view: A view that the file declares.
            key: The entity key; a new one gets a row whose other values are null.
            values: Column name to new value; None sets null.
            event_time: Unix seconds at which the new values came to be; now, if not given.

        Raises:
            KeyError: The file declares no such view or the view no such column.
            ValueMismatch: A value does not fit its column's type.
            StoreFileError: The file cannot be written.
        """
        moment = self._clock.wall() if event_time is None else event_time
        try:
            columns = self.views()[view].columns
            typed = {name: as_dtype(value, Column(name, columns[name])) for name, value in values.items()}
            row = self._record(view, key) or {"values": {}, "event_time": moment}
            row["values"].update(typed)
            row.setdefault("event_times", {}).update(dict.fromkeys(typed, moment))
            self._connection.execute(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", (view, encode_key(key), orjson.dumps(row))
            )
        except sqlite3.Error as error:
            raise file_error(self._path, error) from error


def _encode_row(row: StoredRow, columns: Iterable[Column]) -> bytes:
    record: dict[str, Any] = {
        "values": {column.name: as_dtype(row.values.get(column.name), column) for column in columns},
        "event_time": row.event_time,
    }
    if row.event_times:
        record["event_times"] = dict(row.event_times)
    return orjson.dumps(record)


def _connect(
    path: Path, mode: str, *, timeout_s: float, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    # autocommit: transactions are begun by hand; the connection moves to the store's own thread
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=timeout_s,
        isolation_level=None,
        check_same_thread=False,
        factory=factory,
    )


def _connect_immutable(path: Path) -> sqlite3.Connection:
    """WAL needs a writable folder beside the file, unless the file is declared immutable.

    That declaration makes sqlite ignore the log, so it is only right where the log holds nothing.
    Source: https://www.sqlite.org/wal.html#read_only_databases
    """
    if log_holds_writes(path):
        raise StoreFileError(
            f"the store's file {path} lies in a read-only folder beside a log with unmerged writes; "
            "write to it once where it can be written (`keyscore put` does), then copy it again"
        )
    try:
        return _connect_to_ours(path, "immutable=1", timeout_s=0.0, factory=ImmutableConnection)
    except sqlite3.Error as error:
        raise file_error(path, error) from error


def _connect_to_ours(
    path: Path, mode: str, *, timeout_s: float, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    connection = _connect(path, mode, timeout_s=timeout_s, factory=factory)
    try:
        _check_ours(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    # Reading the schema is what makes sqlite look at the file's content and at its locks.
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:  # what is left of a first load that was refused
        raise StoreFileError(
            f"the store's file {path} holds nothing yet; `keyscore demo` or `keyscore load VIEW FILE` fills it"
        )
    if application != _APPLICATION_ID or not {"views", "rows"} <= tables:
        raise StoreFileError(
            f"{path} is a sqlite database, but not a Keyscore store; name another KEYSCORE_SQLITE_PATH"
        )
    if version != _VERSION:
        raise StoreFileError(
            f"{path} has layout {version}, this Keyscore reads layout {_VERSION}; build it anew with `keyscore load`"
        )
