"""`keyscore put` writes what was said and nothing else, and says what it did."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from features.stores.sqlite_writer import SqliteWriter


def test_values_are_read_by_the_type_of_their_column(keyscore: Callable, store: Path, rows_of: Callable) -> None:
    outcome = keyscore("put", "account", "C1", "balance=12", "visits=8", "vip=false", "city=007")
    assert outcome.code == 0
    (row,) = rows_of(store, "account", ["C1"])
    assert row == {"balance": 12.0, "visits": 8, "vip": False, "city": "007"}
    assert type(row["balance"]) is float


@pytest.mark.usefixtures("store")
def test_what_was_and_what_is_now_are_shown(keyscore: Callable) -> None:
    lines = keyscore("put", "account", "C1", "balance=12", "vip=null", "city=Köln").out.splitlines()
    assert lines[0] == "account customer_id=C1"
    assert [line.split() for line in lines[3:]] == [
        ["balance", "80.5", "12"],
        ["vip", "true", "null"],
        ["city", "Bonn", "Köln"],
    ]


def test_other_values_stay(keyscore: Callable, store: Path, rows_of: Callable) -> None:
    keyscore("put", "account", "C1", "visits=8")
    assert rows_of(store, "account", ["C1"]) == [{"balance": 80.5, "visits": 8, "vip": True, "city": "Bonn"}]


def test_a_new_entity_gets_a_row(keyscore: Callable, store: Path, rows_of: Callable) -> None:
    outcome = keyscore("put", "account", "007", "city=x=y")
    assert "customer_id=007 (new)" in outcome.out
    assert rows_of(store, "account", ["007"]) == [{"city": "x=y"}]


@pytest.mark.parametrize(
    "key", [("C1", "M1"), ("customer_id=C1", "merchant_id=M1"), ("merchant_id=M1", "customer_id=C1")]
)
def test_the_parts_of_a_key_come_in_order_or_by_name(
    keyscore: Callable, store: Path, rows_of: Callable, key: tuple[str, str]
) -> None:
    outcome = keyscore("put", "pair", *key, "score=0.25")
    assert "customer_id=C1, merchant_id=M1" in outcome.out
    assert rows_of(store, "pair", [("C1", "M1")]) == [{"score": 0.25}]


def test_a_key_may_begin_with_a_dash_or_hold_an_equals_sign(keyscore: Callable, store: Path, rows_of: Callable) -> None:
    assert keyscore("put", "account", "--", "-17", "visits=1").code == 0
    assert keyscore("put", "account", "YWI=", "visits=2").code == 0
    assert rows_of(store, "account", ["-17", "YWI="]) == [{"visits": 1}, {"visits": 2}]


@pytest.mark.parametrize(("text", "moment"), [("2026-01-31T12:00:00Z", 1769860800.0), ("1769860800.5", 1769860800.5)])
def test_the_event_time_is_kept(keyscore: Callable, store: Path, text: str, moment: float) -> None:
    assert keyscore("put", "account", "C1", "balance=1", "--event-time", text).code == 0
    with SqliteWriter(store) as writer:
        row = writer.row("account", "C1")
    assert row is not None
    assert row.event_time == 1_700_000_000
    assert row.event_times == {"balance": moment}


def test_an_int64_key_is_spelled_as_the_bundle_says(
    keyscore: Callable, store: Path, tmp_path: Path, rows_of: Callable
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "serving.yaml").write_text(
        "entities: {customer: {keys: [{name: customer_id, dtype: int64}]}}\nviews: {account: {entity: customer}}\n"
    )
    assert keyscore("put", "account", "7", "visits=1", "--bundle", bundle).code == 0
    assert (
        "'customer_id' must be a 64-bit integer"
        in keyscore("put", "account", "007", "visits=1", "--bundle", bundle).err
    )
    assert rows_of(store, "account", ["7", "007"]) == [{"visits": 1}, None]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("acount", "C1", "visits=1"), "holds no view 'acount'; did you mean 'account'?"),
        (("zzz", "C1", "visits=1"), "holds no view 'zzz'; it holds account, pair"),
        (("account", "C1", "visit=1"), "account has no column 'visit'; did you mean 'visits'?"),
        (("account", "C1", "zzz=1"), "its columns are balance, visits, vip, city"),
        (("account", "visits=1"), "the key of account comes first and has one part: customer_id"),
        (("account", "C1"), "nothing to set: say column=value"),
        (("account", "C1", "C2", "visits=1"), "'C2' is no column=value; the key of account has one part"),
        (("account", "C1", "visits=1", "visits=2"), "'visits' is given twice"),
        (("pair", "C1", "score=1"), "the key of pair comes first and has 2 parts: customer_id, merchant_id"),
        (("pair", "customer_id=C1", "M1", "score=1"), "has 2 parts: customer_id, merchant_id"),
        (("account", "", "visits=1"), "the key 'customer_id' must not be empty"),
        (("account", "C1", "visits=1.5"), "visits holds '1.5', which is not an integer"),
        (("account", "C1", "visits=9223372036854775808"), "which is beyond 64-bit integers"),
        (("account", "C1", "balance=lots"), "balance holds 'lots', which is not a number"),
        (("account", "C1", "balance=1e39"), "the model needs finite numbers"),
        (("account", "C1", "balance=inf"), "the model needs finite numbers"),
        (("account", "C1", "vip=maybe"), "vip holds 'maybe', which is not true or false"),
        (("account", "C1", "visits="), "visits has no value; `visits=null` sets null"),
        (("account", "C1", "visits=1", "--event-time", "2026-01-31T12:00:00"), "--event-time has no time zone"),
        (("account", "C1", "visits=1", "--event-time", "soon"), "--event-time must be a date and time with its zone"),
        (("account", "C1", "visits=1", "--event-time", "1769860800000"), "divide milliseconds by 1,000"),
        (("account", "C1", "visits=1", "--event-time", "20260131"), "is too small for Unix seconds"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    keyscore: Callable, store: Path, rows_of: Callable, words: tuple[str, ...], said: str
) -> None:
    before = rows_of(store, "account", ["C1"]), rows_of(store, "pair", [("C1", "M1")])
    outcome = keyscore("put", *words)
    assert outcome.code == 1
    assert said in outcome.err
    assert outcome.err.count("\n") == 1
    assert (rows_of(store, "account", ["C1"]), rows_of(store, "pair", [("C1", "M1")])) == before


def test_a_slip_in_the_path_makes_no_file(keyscore: Callable, tmp_path: Path) -> None:
    outcome = keyscore("put", "account", "C1", "visits=1", "--sqlite-path", "wrong.sqlite")
    assert outcome.code == 1
    assert "does not exist" in outcome.err
    assert not (tmp_path / "wrong.sqlite").exists()


def test_a_damaged_row_is_no_traceback(keyscore: Callable, store: Path) -> None:
    connection = sqlite3.connect(store)
    with connection:
        connection.execute("UPDATE rows SET row = CAST('{' AS BLOB) WHERE view = 'account'")
    connection.close()
    outcome = keyscore("put", "account", "C1", "visits=1")
    assert outcome.code == 1
    assert "a row of account in var/features.sqlite is damaged; load the view again" in outcome.err
