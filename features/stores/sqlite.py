"""The embedded store: a real, durable file, read in a thread of its own.

A read takes 20 to 60 µs, but a disk may take its time, and the event loop must not wait for it. One thread is
enough: sqlite answers faster than the rest of the service can ask.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import orjson

from features.deadline import Deadline
from features.errors import StoreAnswerInvalid
from features.spec import FeatureView
from features.stores.base import ReadAnswer
from features.stores.sqlite_file import StoredView, connect_read_only, describe, encode_key, file_error
from features.values import EntityKey, RowLayout, ValueMismatch

_T = TypeVar("_T")

_ONE: Final = "SELECT key, row FROM rows WHERE view = ? AND key = ?"
_MANY: Final = "SELECT key, row FROM rows WHERE view = ? AND key IN (SELECT value FROM json_each(?))"


class SqliteStore:
    """Reads the embedded store's file. A write by another process is visible to the next read.

    The file may be replaced while the service runs (`mv new.sqlite features.sqlite`): the next read notices.
    """

    __slots__ = ("_connection", "_identity", "_path", "_thread")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")

    def __repr__(self) -> str:
        return f"<SqliteStore {self._path} {'open' if self._connection else 'closed'}>"

    async def open(self) -> None:
        """See `OnlineStore.open`.

        Raises:
            StoreFileError: The file is missing, locked, not a database, or not one of ours.
        """
        await self._run(self._current_connection)

    async def read(
        self,
        view: FeatureView,
        keys: Sequence[EntityKey],
        deadline: Deadline,  # noqa: ARG002  # watched by whoever waits: a thread cannot be cancelled
    ) -> Mapping[EntityKey, ReadAnswer]:
        """See `OnlineStore.read`."""
        return await self._run(self._read, view.name, view.layout, keys)

    async def views(self) -> dict[str, StoredView]:
        """The views that the file declares, by name.

        Raises:
            StoreFileError: The file cannot be read.
        """
        return await self._run(self._views)

    async def aclose(self) -> None:
        """See `OnlineStore.aclose`."""
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    async def _run(self, function: Callable[..., _T], *args: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    # What follows runs in the store's own thread.

    def _current_connection(self) -> sqlite3.Connection:
        try:
            found = self._path.stat()
        except OSError:
            self._close()
            return connect_read_only(self._path)  # says in words that the file is gone
        identity = (found.st_dev, found.st_ino)
        if self._connection is None or identity != self._identity:
            self._close()
            self._connection = connect_read_only(self._path)
            self._identity = identity
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

    def _read(self, view: str, layout: RowLayout, keys: Sequence[EntityKey]) -> dict[EntityKey, ReadAnswer]:
        answers: dict[EntityKey, ReadAnswer] = dict.fromkeys(keys)
        by_text = {encode_key(key): key for key in keys}
        try:
            for text, record in self._select(view, list(by_text)):
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
        return layout.pack(row["values"], row.get("event_time"), row.get("event_times"))
    except ValueMismatch as error:
        return StoreAnswerInvalid(str(error))
    except (ValueError, KeyError, TypeError, AttributeError):
        return StoreAnswerInvalid("a stored row is damaged")
