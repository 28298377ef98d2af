"""The embedded store in service. (What any store does: `tests/contracts`.)"""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from features.clock import ManualClock
from features.deadline import Deadline
from features.errors import StoreAnswerInvalid, StoreFileChanged, StoreFileError
from features.spec import FeatureView
from features.stores import sqlite, sqlite_file
from features.stores.base import DescribedStore, StoredView
from features.stores.sqlite import SqliteStore, decode_row
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.values import Column, DType, EntityKey, FeatureRow, RowLayout

pytestmark = pytest.mark.anyio

COLUMNS = {"balance": DType.FLOAT, "visits": DType.INT, "city": DType.STRING}


def _load(path: Path, balance: float, n_rows: int = 1) -> None:
    with SqliteWriter(path) as writer:
        rows = (StoredRow(f"C{number}", {"balance": balance}, 1.0) for number in range(1, n_rows + 1))
        writer.replace_view("account", ("customer_id",), COLUMNS, rows)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "features.sqlite"
    _load(path, 1.0)
    return path


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    await store.aclose()


async def _balance(store: SqliteStore, view: FeatureView, key: EntityKey = "C1") -> object:
    answers = await store.read(view, [key], Deadline.after(60, ManualClock()))
    row = answers[key]
    return view.layout.value(row, 0) if isinstance(row, FeatureRow) else row


async def test_opening_checks_the_file(store: SqliteStore, path: Path) -> None:
    assert repr(store) == f"<SqliteStore {path} closed>"
    await store.open()
    assert repr(store) == f"<SqliteStore {path} open>"
    assert await store.views() == {"account": StoredView(("customer_id",), COLUMNS)}


async def test_opening_a_missing_file_fails_and_works_once_it_is_there(tmp_path: Path, view: FeatureView) -> None:
    path = tmp_path / "late.sqlite"
    store = SqliteStore(path)
    with pytest.raises(StoreFileError, match="does not exist"):
        await store.open()
    _load(path, 3.0)
    assert await _balance(store, view) == 3.0
    await store.aclose()


async def test_a_write_by_another_connection_is_visible_to_the_next_read(
    store: SqliteStore, path: Path, view: FeatureView
) -> None:
    assert await _balance(store, view) == 1.0
    with SqliteWriter(path) as writer:
        writer.put("account", "C1", {"balance": 2.0})
        assert await _balance(store, view) == 1.0
    assert await _balance(store, view) == 2.0


async def test_a_file_that_is_replaced_is_noticed_by_the_next_read(
    store: SqliteStore, path: Path, view: FeatureView
) -> None:
    assert await _balance(store, view) == 1.0
    new = path.with_name("new.sqlite")
    _load(new, 2.0)
    new.replace(path)
    assert await _balance(store, view) == 2.0


async def test_a_file_that_is_replaced_after_writes_holds_nothing_of_the_old_one(
    store: SqliteStore, path: Path, view: FeatureView
) -> None:
    """The reader keeps the old file's log alive; the writer has merged and emptied it."""
    assert await _balance(store, view) == 1.0
    _load(path, 1.5, n_rows=50)
    new = path.with_name("new.sqlite")
    _load(new, 2.0, n_rows=500)
    new.replace(path)
    for number in (1, 50, 500):
        assert await _balance(store, view, f"C{number}") == 2.0


async def test_a_file_that_is_replaced_beside_the_old_ones_log_is_refused_until_the_log_is_gone(
    store: SqliteStore, path: Path, view: FeatureView
) -> None:
    """As after a writer was killed: sqlite would read the old file's writes into the new file."""
    assert await _balance(store, view) == 1.0
    new = path.with_name("new.sqlite")
    _load(new, 2.0)
    log = path.with_name(path.name + "-wal")
    log.write_bytes(b"left behind")
    new.replace(path)
    with pytest.raises(StoreFileError, match=r"was replaced .* remove features\.sqlite-wal and features\.sqlite-shm"):
        await _balance(store, view)
    log.unlink()
    assert await _balance(store, view) == 2.0


async def test_a_file_that_is_deleted_is_missed_by_the_next_read_and_found_when_it_is_back(
    store: SqliteStore, path: Path, view: FeatureView
) -> None:
    assert await _balance(store, view) == 1.0
    path.unlink()  # noqa: ASYNC240  # takes no time
    for _ in range(2):
        with pytest.raises(StoreFileError, match="does not exist"):
            await _balance(store, view)
    for log in path.parent.glob("features.sqlite-*"):
        log.unlink()
    _load(path, 2.0)
    assert await _balance(store, view) == 2.0


async def test_a_store_describes_itself(store: SqliteStore, path: Path) -> None:
    _load(path, 1.0, n_rows=3)
    with SqliteWriter(path) as writer:
        writer.replace_view("empty", ("a", "b"), {"x": DType.BOOL}, [])
    assert isinstance(store, DescribedStore)
    assert await store.views() == {
        "account": StoredView(("customer_id",), COLUMNS),
        "empty": StoredView(("a", "b"), {"x": DType.BOOL}),
    }
    assert await store.row_counts() == {"account": 3, "empty": 0}
    assert await store.example_key("account") == "C1"
    assert await store.example_key("empty") is None


async def test_a_locked_file_is_a_store_error_and_passes(store: SqliteStore, path: Path, view: FeatureView) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        assert await _balance(store, view) == 1.0
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreFileError, match="is locked by another process"):
            await _balance(store, view)
    assert await _balance(store, view) == 1.0


async def test_whatever_sqlite_says_is_a_store_error(store: SqliteStore, path: Path, view: FeatureView) -> None:
    await store.open()
    with closing(sqlite3.connect(path)) as other:
        other.executescript("DROP TABLE rows; DROP TABLE views")
    for asked in (_balance(store, view), store.views(), store.row_counts(), store.example_key("account")):
        with pytest.raises(StoreFileError, match="cannot be used: no such table"):
            await asked


async def test_a_damaged_row_is_an_error_for_its_key_and_for_no_other(
    store: SqliteStore, path: Path, view: FeatureView
) -> None:
    _load(path, 1.0, n_rows=2)
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE rows SET row = ? WHERE key = 'C2'", (b"{",))
        other.commit()
    answers = await store.read(view, ["C1", "C2"], Deadline.after(1, ManualClock()))
    assert isinstance(answers["C1"], FeatureRow)
    assert isinstance(answers["C2"], StoreAnswerInvalid)


async def test_a_row_that_was_not_asked_for_tells_of_a_file_that_changed_meanwhile(
    store: SqliteStore, path: Path, view: FeatureView
) -> None:
    with closing(sqlite3.connect(path)) as other:  # as if pages of another version had been read
        other.executescript(
            "ALTER TABLE rows RENAME TO whole;"
            "CREATE TABLE rows (view TEXT, key TEXT COLLATE NOCASE, row BLOB);"
            "INSERT INTO rows SELECT view, key, row FROM whole;"
        )
    with pytest.raises(StoreFileChanged, match="changed while it was being read"):
        await _balance(store, view, "c1")


_LAYOUT = RowLayout((Column("balance", DType.FLOAT),))


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"\xff",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b'{"values": null}',
        b'{"values": [1]}',
        b'{"values": {}, "event_time": "yesterday"}',
        b'{"values": {}, "event_time": [1]}',
        b'{"values": {}, "event_times": [1]}',
        b'{"values": {}, "event_times": {"balance": "yesterday"}}',
        b'{"values": {}, "event_time": 1, "event_times": {"other": {}}}',
    ],
)
def test_a_record_that_is_not_as_we_write_it_is_damaged(record: bytes) -> None:
    answer = decode_row(record, _LAYOUT)
    assert isinstance(answer, StoreAnswerInvalid)
    assert str(answer) == "a stored row is damaged"


def test_a_value_of_another_type_is_named_by_its_column() -> None:
    answer = decode_row(orjson.dumps({"values": {"balance": "sEcReT"}}), _LAYOUT)
    assert isinstance(answer, StoreAnswerInvalid)
    assert str(answer) == "column 'balance' does not hold a float"


def test_a_record_without_event_times_is_undated() -> None:
    for record in (b'{"values": {}}', b'{"values": {}, "event_time": null, "event_times": null}'):
        row = decode_row(record, _LAYOUT)
        assert isinstance(row, FeatureRow)
        assert (row.event_time, row.event_times) == (None, None)


async def test_closing_closes_the_file_and_leaves_the_thread(store: SqliteStore, view: FeatureView) -> None:
    await asyncio.gather(*(_balance(store, view) for _ in range(5)))
    other = SqliteStore(store._path)
    await other.open()
    await other.aclose()
    assert "closed" in repr(other)
    with pytest.raises(RuntimeError, match="sqlite has ended"):
        await other.open()


async def test_closing_does_not_wait_for_a_read_that_hangs(path: Path) -> None:
    store = SqliteStore(path)
    disk = threading.Event()
    hung = asyncio.create_task(store._thread.run(disk.wait))
    await asyncio.sleep(0)
    await store.aclose(0.01)
    disk.set()
    assert await hung


_HUNG = """
import asyncio, sys, threading
from pathlib import Path
from features.stores.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    hung = asyncio.create_task(store._thread.run(threading.Event().wait))
    await asyncio.sleep(0)
    await store.aclose(0.01)

asyncio.run(main())
"""


def test_a_process_ends_although_a_read_hangs(path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", _HUNG, str(path)], check=False).returncode == 0  # noqa: S603  # our own words


async def test_a_write_is_seen_in_a_file_that_had_to_be_taken_as_immutable(
    store: SqliteStore, path: Path, view: FeatureView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only mount of a folder that somebody else writes: sqlite itself would never look again."""
    monkeypatch.setattr(sqlite, "connect_read_only", sqlite_file._connect_immutable)
    assert await _balance(store, view) == 1.0
    _load(path, 2.0, n_rows=5_000)
    assert await _balance(store, view) == 2.0
