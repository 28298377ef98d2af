"""The embedded store's file, seen from outside: what it holds, and how to change a value behind everybody's back.

The layout is public: a sqlite database with tables `views(name, …)` and `rows(view, key, row)`, where `row` is JSON,
`{"values": {column: value}, "event_time": s}`.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import orjson

Row = Mapping[str, Any]

_MULTIPLY: Final = """
WITH RECURSIVE copies(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM copies WHERE number + 1 < ?)
INSERT INTO rows SELECT view, key || '-' || number, row FROM rows, copies WHERE view = ?
"""


def view_names(path: Path) -> list[str]:
    """The views that the file holds rows of."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM views ORDER BY name")]


def read_rows(path: Path, view: str) -> dict[str, Row]:
    """Every entity's values in one view, by key; for views that fit into memory."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT key, row FROM rows WHERE view = ? ORDER BY key", (view,))
        return {key: orjson.loads(row)["values"] for key, row in found}


def write_row(path: Path, view: str, key: str, values: Row) -> None:
    """The entity's values in the view are these, from the moment this returns at the latest."""
    with closing(sqlite3.connect(path, timeout=5.0)) as connection, connection:
        connection.execute(
            "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)",
            (view, key, orjson.dumps({"values": dict(values), "event_time": None})),
        )


def multiplied(source: Path, target: Path, copies: Mapping[str, int]) -> None:
    """Copies a file; there, the named views hold every row so many times, under `key`, `key-1`, `key-2` and so on."""
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as original,
        closing(sqlite3.connect(target)) as copy,
        copy,
    ):
        original.backup(copy)
        for view, times in copies.items():
            if times > 1:
                copy.execute(_MULTIPLY, (times, view))
