"""The embedded store's file: one way to write it, all of it or nothing."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from features.clock import ManualClock
from features.errors import StoreFileError
from features.stores import sqlite_file, sqlite_writer
from features.stores.base import StoredView
from features.stores.sqlite_file import connect_read_only, describe, encode_key, file_error
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.values import DType, ValueMismatch

COLUMNS = {"balance": DType.FLOAT, "visits": DType.INT, "city": DType.STRING}
KEYS = ("customer_id",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features.sqlite"


def _load(path: Path, *rows: StoredRow) -> int:
    with SqliteWriter(path) as writer:
        return writer.replace_view("account", KEYS, COLUMNS, rows)


def _record(path: Path, key: str = "C1") -> dict[str, object]:
    with closing(sqlite3.connect(path)) as connection:
        ((row,),) = connection.execute("SELECT row FROM rows WHERE key = ?", (key,))
    record: dict[str, object] = orjson.loads(row)
    return record


def _journal_mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        ((mode,),) = connection.execute("PRAGMA journal_mode")
    return str(mode)


# Writing


def test_a_writer_makes_file_and_folder_and_says_how_many_rows_there_are(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "f.sqlite"
    assert _load(path, StoredRow("C1", {"balance": 1.0}), StoredRow("C2", {})) == 2
    with closing(connect_read_only(path)) as connection:
        assert describe(connection) == {"account": StoredView(KEYS, COLUMNS)}


def test_a_row_is_json_that_a_person_can_read(path: Path) -> None:
    _load(path, StoredRow("C1", {"balance": 0.1, "visits": 2**63 - 1, "surplus": 1}, 50.0, {"visits": 40.0}))
    assert _record(path) == {
        "values": {"balance": 0.1, "visits": 2**63 - 1, "city": None},
        "event_time": 50.0,
        "event_times": {"visits": 40.0},
    }


def test_a_repeated_key_keeps_its_last_row(path: Path) -> None:
    assert _load(path, StoredRow("C1", {"visits": 1}), StoredRow("C1", {"visits": 2})) == 1
    assert _record(path)["values"] == {"balance": None, "visits": 2, "city": None}


def test_loading_a_view_replaces_it_and_leaves_the_others(path: Path) -> None:
    _load(path, StoredRow("C1", {}), StoredRow("C2", {}))
    with SqliteWriter(path) as writer:
        assert writer.replace_view("other", ("a", "b"), {"x": DType.BOOL}, [StoredRow(("A", "B"), {"x": True})]) == 1
        assert writer.replace_view("account", KEYS, COLUMNS, [StoredRow("C3", {})]) == 1
        assert writer.views() == {
            "account": StoredView(KEYS, COLUMNS),
            "other": StoredView(("a", "b"), {"x": DType.BOOL}),
        }


def test_a_value_of_the_wrong_type_undoes_the_whole_load(path: Path) -> None:
    _load(path, StoredRow("C1", {"visits": 1}))
    with pytest.raises(ValueMismatch, match="'visits' does not hold a int"):
        _load(path, StoredRow("C2", {"visits": 2}), StoredRow("C3", {"visits": "many"}))
    assert _record(path)["values"] == {"balance": None, "visits": 1, "city": None}


def test_an_error_on_the_way_leaves_the_file_as_it_was(path: Path) -> None:
    _load(path, StoredRow("C1", {"visits": 1}))

    def rows() -> Iterator[StoredRow]:
        yield StoredRow("C1", {"visits": 2})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _load(path, *rows())
    with pytest.raises(KeyboardInterrupt), SqliteWriter(path) as writer:
        writer.replace_view("account", KEYS, COLUMNS, rows())
    assert _record(path)["values"] == {"balance": None, "visits": 1, "city": None}


def test_a_first_load_that_fails_leaves_a_file_that_the_next_load_can_use(path: Path) -> None:
    with pytest.raises(ValueMismatch):
        _load(path, StoredRow("C1", {"visits": "many"}))
    with pytest.raises(StoreFileError, match=r"holds nothing yet; `keyscore demo` or `keyscore load VIEW FILE` fills"):
        connect_read_only(path)
    assert _load(path, StoredRow("C1", {"visits": 1})) == 1


def test_two_writers_take_turns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _load(path)
    monkeypatch.setattr(sqlite_writer, "_BUSY_TIMEOUT_S", 0.0)
    with SqliteWriter(path) as writer:
        writer.replace_view("account", KEYS, COLUMNS, [StoredRow("C1", {"visits": 1})])
        with pytest.raises(StoreFileError, match="is locked by another process; end it and try again"):
            _load(path)
    assert _record(path)["values"] == {"balance": None, "visits": 1, "city": None}


def test_a_reader_sees_nothing_of_a_load_until_it_is_whole(path: Path) -> None:
    _load(path, StoredRow("C1", {}))
    with closing(connect_read_only(path)) as reader, SqliteWriter(path) as writer:
        writer.replace_view("account", KEYS, COLUMNS, [StoredRow("C2", {})])
        assert reader.execute("SELECT key FROM rows").fetchall() == [("C1",)]


def test_after_a_write_the_file_is_whole_by_itself_though_a_reader_is_attached(path: Path) -> None:
    """A log left behind would be read into whatever file is moved to this place."""
    _load(path)
    with closing(connect_read_only(path)):
        _load(path, StoredRow("C1", {"visits": 1}))
        assert not sqlite_file.log_holds_writes(path)
    assert _journal_mode(path) == "wal"


# Looking while writing


def test_a_writer_sees_what_it_has_written(path: Path) -> None:
    with SqliteWriter(path) as writer:
        writer.replace_view("account", KEYS, COLUMNS, [StoredRow("C1", {"visits": 1}, 50.0, {"visits": 40.0})])
        assert writer.row_count("account") == 1
        assert writer.row_count("nowhere") == 0
        values = {"balance": None, "visits": 1, "city": None}
        assert writer.row("account", "C1") == StoredRow("C1", values, 50.0, {"visits": 40.0})
        assert writer.row("account", "nobody") is None


@pytest.mark.parametrize("record", [b"{", b"[]", b"{}", b'{"values": [1]}', b'{"values": null}'])
def test_a_damaged_row_is_neither_shown_nor_added_to(path: Path, record: bytes) -> None:
    _load(path, StoredRow("C1", {}))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE rows SET row = ?", (record,))
        connection.commit()
    with SqliteWriter(path) as writer:
        with pytest.raises(StoreFileError, match=r"a row of account in .* is damaged; load the view again"):
            writer.row("account", "C1")
        with pytest.raises(StoreFileError, match="is damaged"):
            writer.put("account", "C1", {"visits": 1})


def test_what_sqlite_says_inside_the_transaction_is_translated_and_undoes_it(path: Path) -> None:
    _load(path, StoredRow("C1", {}))

    def mistaken() -> None:
        with SqliteWriter(path) as writer:
            writer.replace_view("account", KEYS, COLUMNS, [])
            writer._connection.execute("SELECT * FROM nowhere")

    with pytest.raises(StoreFileError, match="cannot be used: no such table"):
        mistaken()
    with SqliteWriter(path) as writer:
        assert writer.row_count("account") == 1


# Putting single values


def test_put_merges_and_leaves_the_other_values_and_their_event_times(path: Path) -> None:
    _load(path, StoredRow("C1", {"balance": 1.0, "visits": 1, "city": "Oslo"}, 50.0, {"city": 40.0}))
    with SqliteWriter(path) as writer:
        writer.put("account", "C1", {"balance": 2, "visits": None}, event_time=60.0)
    assert _record(path) == {
        "values": {"balance": 2.0, "visits": None, "city": "Oslo"},
        "event_time": 50.0,
        "event_times": {"city": 40.0, "balance": 60.0, "visits": 60.0},
    }


def test_put_without_an_event_time_means_now(path: Path, clock: ManualClock) -> None:
    _load(path)
    with SqliteWriter(path, clock) as writer:
        writer.put("account", "C1", {"balance": 2.0})
    assert _record(path) == {
        "values": {"balance": 2.0},
        "event_time": clock.wall(),
        "event_times": {"balance": clock.wall()},
    }


def test_put_takes_composite_keys(path: Path) -> None:
    with SqliteWriter(path) as writer:
        writer.replace_view("pair", ("a", "b"), COLUMNS, [])
        writer.put("pair", ("A", "B"), {"visits": 1}, 1.0)
    assert _record(path, '["A","B"]')["values"] == {"visits": 1}


@pytest.mark.parametrize(
    ("view", "values", "kind"),
    [
        ("nowhere", {"balance": 1.0}, KeyError),
        ("account", {"nothing": 1.0}, KeyError),
        ("account", {"visits": 1.5}, ValueMismatch),
    ],
)
def test_put_refuses_what_the_file_does_not_declare(
    path: Path, view: str, values: dict[str, float], kind: type[Exception]
) -> None:
    _load(path)
    with pytest.raises(kind), SqliteWriter(path) as writer:
        writer.put(view, "C1", values)


# Keys


def test_a_single_key_is_stored_as_it_is_and_a_composite_one_as_a_list() -> None:
    assert encode_key('a"b') == 'a"b'
    assert encode_key(("a", 'b"c')) == '["a","b\\"c"]'


# Files that cannot be used


def test_a_missing_file_is_named_with_what_makes_one(path: Path) -> None:
    with pytest.raises(StoreFileError) as refused:
        connect_read_only(path)
    for word in (str(path), "does not exist", "keyscore demo", "keyscore load VIEW FILE", "KEYSCORE_SQLITE_PATH"):
        assert word in str(refused.value)
    assert not path.exists()


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(StoreFileError, match="is a directory"):
        connect_read_only(tmp_path)
    with pytest.raises(StoreFileError, match="cannot be used: unable to open"):
        SqliteWriter(tmp_path).__enter__()


def test_a_path_that_the_system_refuses_is_a_store_error_too(tmp_path: Path) -> None:
    with pytest.raises(StoreFileError, match="is out of reach: File name too long"):
        connect_read_only(tmp_path / ("x" * 300))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFileError, match=r"the folder of .* cannot be made: "):
        SqliteWriter(tmp_path / "file" / "f.sqlite")


def test_a_file_that_is_no_database_is_refused_for_reading_and_writing_and_left_alone(path: Path) -> None:
    path.write_bytes(b"customer_id,balance\n" * 100)
    with pytest.raises(StoreFileError, match="is not a sqlite database or is damaged; build it anew"):
        connect_read_only(path)
    with pytest.raises(StoreFileError, match="is not a sqlite database or is damaged; build it anew"):
        _load(path)
    assert path.read_bytes() == b"customer_id,balance\n" * 100


def test_somebody_elses_database_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE rows (x)")
    before = path.read_bytes()
    for use in (connect_read_only, _load):
        with pytest.raises(StoreFileError, match="is a sqlite database, but not a Keyscore store"):
            use(path)
    assert path.read_bytes() == before
    assert _journal_mode(path) == "delete"


def test_our_mark_without_our_tables_is_not_enough(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {sqlite_file._APPLICATION_ID}")
        connection.execute("CREATE TABLE other (x)")
    with pytest.raises(StoreFileError, match="not a Keyscore store"):
        connect_read_only(path)


def test_a_file_of_another_layout_is_refused_with_both_numbers(path: Path) -> None:
    _load(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(StoreFileError, match="has layout 2, this Keyscore reads layout 1; build it anew"):
        connect_read_only(path)


def test_a_locked_file_is_told_from_a_damaged_one(path: Path) -> None:
    _load(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreFileError, match="is locked by another process; end it and try again"):
            connect_read_only(path)


def test_what_sqlite_says_otherwise_is_passed_on_to_the_operator(path: Path) -> None:
    assert str(file_error(path, sqlite3.OperationalError("disk I/O error"))).endswith("cannot be used: disk I/O error")
    assert "is damaged" in str(file_error(path, sqlite3.DatabaseError("database disk image is malformed")))


def test_an_error_at_each_step_of_writing_names_the_file(path: Path) -> None:
    _load(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TRIGGER no BEFORE INSERT ON rows BEGIN SELECT RAISE(ABORT, 'quota'); END")
        connection.commit()
    with pytest.raises(StoreFileError, match="cannot be used: quota"):
        _load(path, StoredRow("C1", {}))
    with pytest.raises(StoreFileError, match="cannot be used: quota"), SqliteWriter(path) as writer:
        writer.put("account", "C1", {"visits": 1}, 1.0)
    writer = SqliteWriter(path).__enter__()
    writer._connection.execute("COMMIT")  # now there is nothing left to commit
    with pytest.raises(StoreFileError, match="no transaction is active"):
        writer.__exit__(None, None, None)


# Read-only places


def test_a_file_from_a_read_only_root_can_be_read(path: Path) -> None:
    """Opened as immutable, which needs no log beside it; called directly, for root may write anywhere."""
    _load(path, StoredRow("C1", {}))
    with closing(sqlite_file._connect_immutable(path)) as connection:
        assert connection.execute("SELECT key FROM rows").fetchall() == [("C1",)]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_reader_that_may_not_make_a_log_takes_the_file_as_immutable(tmp_path: Path) -> None:
    """A folder where the log should lie stands for a folder that cannot be written."""
    path = tmp_path / "f.sqlite"
    _load(path, StoredRow("C1", {}))
    (tmp_path / "f.sqlite-wal").mkdir()
    (tmp_path / "f.sqlite-shm").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_file, "log_holds_writes", lambda _path: False)  # a folder has a size
        with closing(connect_read_only(path)) as connection:
            assert connection.execute("SELECT key FROM rows").fetchall() == [("C1",)]


def test_a_read_only_copy_that_lacks_the_logs_writes_is_refused_with_the_way_out(path: Path) -> None:
    _load(path)
    path.with_name(path.name + "-wal").write_bytes(b"unmerged")
    with pytest.raises(StoreFileError, match="beside a log with unmerged writes; write to it once where it can"):
        sqlite_file._connect_immutable(path)


def test_an_immutable_file_must_be_ours_too(path: Path) -> None:
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StoreFileError, match="is not a sqlite database"):
        sqlite_file._connect_immutable(path)


def test_a_file_that_may_not_be_written_can_be_read(path: Path) -> None:
    _load(path, StoredRow("C1", {}))
    path.chmod(stat.S_IRUSR)
    with closing(connect_read_only(path)) as connection:
        assert connection.execute("SELECT key FROM rows").fetchall() == [("C1",)]
