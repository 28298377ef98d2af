"""The embedded store's rows as serialized answers.

Read in the event loop: a SELECT takes 3 µs, a hop to a thread and back takes 50. Making a message of a row takes ten
times as long as reading it, so messages are kept until the file changes.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from features.emulator.codes import Refused, not_found
from features.emulator.row_messages import RowMessages
from features.errors import StoreFileError
from features.stores.base import StoredView
from features.stores.sqlite_file import connect_read_only, describe, file_error
from features.stores.vertex_messages import KEY_VALUE, PROTO_STRUCT

_ONE: Final = "SELECT key, row FROM rows WHERE view = ? AND key = ?"
_MANY: Final = "SELECT key, row FROM rows WHERE view = ? AND key IN (SELECT value FROM json_each(?))"
_OTHER: Final = "SELECT key FROM rows WHERE view = ? AND key != ? LIMIT 1"
_COUNT: Final = "SELECT count(*) FROM rows WHERE view = ?"
_KEPT: Final = 100_000  # answers; about 1 kB each


class Rows:
    """Reads the embedded store's file; what another process has written is visible to the next read."""

    __slots__ = ("_answers", "_connection", "_identity", "_messages", "_version", "_views", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._version = 0
        self._views: dict[str, StoredView] = {}
        self._messages: dict[str, RowMessages] = {}
        self._answers: dict[tuple[str, int, str], bytes] = {}

    def __repr__(self) -> str:
        return f"<Rows of {self.path} kept={len(self._answers)}>"

    def open(self) -> None:
        """Opens the file.

        Raises:
            StoreFileError: It is missing, locked, not a database, or not one of ours.
        """
        self._current()

    def close(self) -> None:
        """Closes the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def views(self) -> Mapping[str, StoredView]:
        """The views that the file holds now.

        Raises:
            Refused: The file cannot be read.
        """
        try:
            self._current()
        except (StoreFileError, sqlite3.Error) as error:
            raise self._refusal(error) from error
        return self._views

    def view(self, name: str) -> StoredView:
        """The view of that name.

        Raises:
            Refused: There is none, or the file cannot be read.
        """
        view = self.views().get(name)
        if view is None:
            raise not_found()
        return view

    def find(self, name: str, keys: Sequence[str], data_format: int) -> dict[str, bytes]:
        """Serialized `FetchFeatureValuesResponse` of each key that has a row, without its `data_key`.

        Args:
            name: The view's name.
            keys: Texts of entity keys, as the file spells them.
            data_format: `KEY_VALUE` (also if unspecified) or `PROTO_STRUCT`.

        Raises:
            Refused: There is no such view, the file cannot be read, or there is no such format.
        """
        self.view(name)
        shape = data_format or KEY_VALUE
        if shape not in (KEY_VALUE, PROTO_STRUCT):
            raise Refused("INVALID_ARGUMENT", f"Data format {data_format} is not one of KEY_VALUE, PROTO_STRUCT.")
        found = {key: kept for key in keys if (kept := self._answers.get((name, shape, key)))}
        missing = [key for key in keys if key not in found]
        if missing:
            messages = self._messages_of(name)
            for key, record in self._select(name, missing):
                made = messages.struct(record) if shape == PROTO_STRUCT else messages.key_values(record)
                found[key] = self._keep((name, shape, key), made)
        return found

    def other_key(self, name: str, key: str) -> str | None:
        """Some key of the view that is not `key`; None if it holds no other."""
        found = self._execute(_OTHER, (name, key))
        return found[0][0] if found else None

    def count(self, name: str) -> int:
        """How many rows the view holds."""
        return int(self._execute(_COUNT, (name,))[0][0])

    def _select(self, name: str, keys: Sequence[str]) -> list[Any]:
        if len(keys) == 1:
            return self._execute(_ONE, (name, keys[0]))
        return self._execute(_MANY, (name, orjson.dumps(keys).decode()))

    def _execute(self, statement: str, values: tuple[str, ...]) -> list[Any]:
        try:
            return self._current().execute(statement, values).fetchall()
        except (StoreFileError, sqlite3.Error) as error:
            raise self._refusal(error) from error

    def _messages_of(self, name: str) -> RowMessages:
        if name not in self._messages:
            self._messages[name] = RowMessages(self._views[name].columns)
        return self._messages[name]

    def _keep(self, key: tuple[str, int, str], answer: bytes) -> bytes:
        if len(self._answers) >= _KEPT:
            self._answers.clear()
        self._answers[key] = answer
        return answer

    def _current(self) -> sqlite3.Connection:
        """The open file; forgets what was kept if somebody has written to it or put another in its place."""
        try:
            found = self.path.stat()
            identity = (found.st_dev, found.st_ino)
        except OSError:
            identity = None  # gone or out of reach: connecting says in words which
        if self._connection is None or identity is None or identity != self._identity:
            self.close()
            self._connection = connect_read_only(self.path)
            self._identity = identity
            self._version = -1
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._version = version
            self._answers.clear()
            self._messages.clear()
            self._views = describe(self._connection)
        return self._connection

    def _refusal(self, error: Exception) -> Refused:
        if isinstance(error, sqlite3.Error):
            error = file_error(self.path, error)
        return Refused("UNAVAILABLE", str(error))
