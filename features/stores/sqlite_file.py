"""The embedded store's file: its layout, and how to connect to it. `sqlite_writer` writes it, `sqlite` reads it.

A sqlite database in WAL mode, so that one process can write while others read. Two tables:

    views(name, keys, columns)   which views there are: JSON list of key names, JSON object of column to dtype
    rows(view, key, row)         one row per entity key: {"values": {...}, "event_time": s, "event_times": {...}}

Values are JSON because it keeps integers, floats, booleans and text apart and exact (floats as their shortest text
that reads back to the same 64 bits), takes a new column without a migration, and can be read by a person with the
`sqlite3` shell. A composite key is stored as the JSON list of its parts.
"""

import sqlite3
from pathlib import Path
from typing import Final

import orjson

from features.errors import StoreFileError
from features.stores.base import StoredView
from features.values import DType, EntityKey

_APPLICATION_ID: Final = 0x4B53_4652  # "KSFR"; lets `file` and us tell our databases from others
_VERSION: Final = 1
SCHEMA: Final = (
    "CREATE TABLE views (name TEXT PRIMARY KEY, keys TEXT NOT NULL, columns TEXT NOT NULL) STRICT",
    """CREATE TABLE rows (
        view TEXT NOT NULL, key TEXT NOT NULL, row BLOB NOT NULL, PRIMARY KEY (view, key)
    ) STRICT, WITHOUT ROWID""",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)


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


def connect(
    path: Path, mode: str, *, timeout_s: float, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """A connection in autocommit (transactions are begun by hand) that may be handed to another thread.

    Raises:
        sqlite3.Error: There is none to be had; see `file_error`.
    """
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
    connection = connect(path, mode, timeout_s=timeout_s, factory=factory)
    try:
        check_ours(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def check_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Returns if the database is one of ours, of this layout.

    Raises:
        StoreFileError: It is not.
        sqlite3.Error: It is no database, or locked.
    """
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
