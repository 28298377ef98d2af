"""The one way to write the embedded store's file."""

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
from features.stores.sqlite_file import SCHEMA, check_ours, connect, count_rows, describe, encode_key, file_error
from features.values import Column, DType, EntityKey, Value, as_dtype

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
            self._connection = connect(path, "mode=rwc", timeout_s=_BUSY_TIMEOUT_S)
        except OSError as error:
            raise StoreFileError(f"the folder of {path} cannot be made: {error.strerror}") from error
        except sqlite3.Error as error:
            raise file_error(path, error) from error

    def __enter__(self) -> Self:
        try:
            if not self._empty():
                check_ours(self._connection, self._path)  # before anything is changed: it may be somebody else's
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")  # a committed write survives a power cut
            self._connection.execute("BEGIN IMMEDIATE")
            if self._empty():
                for statement in SCHEMA:
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
