"""The embedded store: a real, durable file, read in a thread of its own.

A read takes 20 to 60 µs, but a disk may take its time, and the event loop must not wait for it. One thread is
enough: sqlite answers faster than the rest of the service can ask.
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from features.deadline import Deadline
from features.errors import StoreAnswerInvalid, StoreFileChanged, StoreFileError
from features.spec import FeatureView
from features.stores.base import ReadAnswer, StoredView
from features.stores.own_thread import OwnThread
from features.stores.sqlite_file import (
    ImmutableConnection,
    connect_read_only,
    count_rows,
    describe,
    encode_key,
    file_error,
    log_holds_writes,
)
from features.values import EntityKey, RowLayout, ValueMismatch

_ONE: Final = "SELECT key, row FROM rows WHERE view = ? AND key = ?"
_MANY: Final = "SELECT key, row FROM rows WHERE view = ? AND key IN (SELECT value FROM json_each(?))"
_AT_ONCE: Final = 128
"""Keys read in one go, which takes about 3 ms."""
CLOSE_S: Final = 0.1
"""Seconds that closing waits for a read under way, which takes milliseconds unless the disk hangs. Nothing is lost
when the file is not closed: it is only read."""
_DAMAGED: Final = StoreAnswerInvalid("a stored row is damaged")


class SqliteStore:
    """Reads the embedded store's file. A write by another process is visible to the next read.

    The file may be replaced while the service runs (`mv new.sqlite features.sqlite`): the next read notices.
    """

    __slots__ = ("_connection", "_identity", "_path", "_state", "_thread")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._state: tuple[int, int] | None = None
        self._thread = OwnThread("sqlite")

    def __repr__(self) -> str:
        return f"<SqliteStore {self._path} {'open' if self._connection else 'closed'}>"

    async def open(self) -> None:
        """See `OnlineStore.open`.

        Raises:
            StoreFileError: The file is missing, locked, not a database, or not one of ours.
        """
        await self._thread.run(self._current_connection)

    async def read(
        self,
        view: FeatureView,
        keys: Sequence[EntityKey],
        deadline: Deadline,  # noqa: ARG002  # watched by whoever waits: a thread cannot be cancelled
    ) -> Mapping[EntityKey, ReadAnswer]:
        """See `OnlineStore.read`. Many keys are read part by part: others' reads need the thread, too."""
        if len(keys) <= _AT_ONCE:
            return await self._thread.run(self._read, view.name, view.layout, keys)
        answers: dict[EntityKey, ReadAnswer] = {}
        for start in range(0, len(keys), _AT_ONCE):
            answers.update(await self._thread.run(self._read, view.name, view.layout, keys[start : start + _AT_ONCE]))
        return answers

    async def views(self) -> dict[str, StoredView]:
        """See `DescribedStore.views`."""
        return await self._thread.run(self._views)

    async def row_counts(self) -> dict[str, int]:
        """See `DescribedStore.row_counts`."""
        return await self._thread.run(self._row_counts)

    async def example_key(self, view: str) -> str | None:
        """See `DescribedStore.example_key`."""
        return await self._thread.run(self._example_key, view)

    async def aclose(self, within_s: float = CLOSE_S) -> None:
        """See `OnlineStore.aclose`. A read that hangs is left behind after `within_s` seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._thread.run(self._close), within_s)
        self._thread.end()

    # What follows runs in the store's own thread.

    def _current_connection(self) -> sqlite3.Connection:
        identity: tuple[int, int] | None = None
        state: tuple[int, int] | None = None
        with suppress(OSError):  # gone or out of reach: connecting says in words which
            found = self._path.stat()
            identity = (found.st_dev, found.st_ino)
            state = (found.st_mtime_ns, found.st_size)
        # sqlite itself notices writes, but not in a file that had to be declared immutable
        changed = isinstance(self._connection, ImmutableConnection) and state != self._state
        if self._connection is None or identity is None or identity != self._identity or changed:
            self._close()
            if None not in (identity, self._identity) and identity != self._identity and log_holds_writes(self._path):
                raise StoreFileError(  # sqlite would read the old file's log into the new file
                    f"the store's file {self._path} was replaced beside the log of the old one; remove "
                    f"{self._path.name}-wal and {self._path.name}-shm while nobody writes"
                )
            self._connection = connect_read_only(self._path)
            self._identity, self._state = identity, state
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _views(self) -> dict[str, StoredView]:
        try:
            return describe(self._current_connection())
        except sqlite3.Error as error:
            raise file_error(self._path, error) from error

    def _row_counts(self) -> dict[str, int]:
        try:
            connection = self._current_connection()
            return {name: count_rows(connection, name) for name in describe(connection)}
        except sqlite3.Error as error:
            raise file_error(self._path, error) from error

    def _example_key(self, view: str) -> str | None:
        try:
            found = self._current_connection().execute("SELECT min(key) FROM rows WHERE view = ?", (view,))
            key: str | None = found.fetchone()[0]
        except sqlite3.Error as error:
            raise file_error(self._path, error) from error
        return key

    def _read(self, view: str, layout: RowLayout, keys: Sequence[EntityKey]) -> dict[EntityKey, ReadAnswer]:
        answers: dict[EntityKey, ReadAnswer] = dict.fromkeys(keys)
        by_text = {encode_key(key): key for key in keys}
        try:
            for text, record in self._select(view, list(by_text)):
                if text not in by_text:  # pages of two versions of the file, read as one
                    raise StoreFileChanged("the store's file changed while it was being read")
                answers[by_text[text]] = decode_row(record, layout)
        except sqlite3.Error as error:
            raise file_error(self._path, error) from error
        return answers

    def _select(self, view: str, texts: list[str]) -> Iterable[tuple[str, bytes]]:
        connection = self._current_connection()
        if len(texts) == 1:
            return connection.execute(_ONE, (view, texts[0]))
        return connection.execute(_MANY, (view, orjson.dumps(texts).decode()))


def decode_row(record: bytes, layout: RowLayout) -> ReadAnswer:
    """The stored record as a row of `layout`, or why it cannot be one."""
    try:
        row = orjson.loads(record)
        event_time, event_times = row.get("event_time"), row.get("event_times") or {}
        moments = (event_time, *event_times.values())
        if not all(moment is None or isinstance(moment, (int, float)) for moment in moments):
            return _DAMAGED
        return layout.pack(row["values"], event_time, event_times)
    except ValueMismatch as error:
        return StoreAnswerInvalid(str(error))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _DAMAGED
