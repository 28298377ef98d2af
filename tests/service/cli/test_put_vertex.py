"""`keyscore put --store vertex` writes by a direct write what `keyscore put` writes to the embedded store."""

from collections.abc import Callable
from pathlib import Path

import pytest

from features.stores.sqlite_writer import SqliteWriter

_PARENT = "projects/p/locations/us-central1/featureOnlineStores/s/featureViews"
_ELSEWHERE = _PARENT.replace("projects/p/", "projects/q/")  # the emulator knows it, the bundle does not
_SERVING = f"""\
name: shop
version: "1"
entities:
  customer: {{keys: [{{name: customer_id}}]}}
  pair: {{keys: [{{name: customer_id}}, {{name: merchant_id}}]}}
views:
  mine: {{entity: customer, source: {_PARENT}/account}}
  both: {{entity: pair, source: {_PARENT}/pair}}
  local: {{entity: customer}}
features:
  - {{name: balance, from: mine.balance}}
  - {{name: city, from: mine.city, dtype: string}}
  - {{name: score, from: both.score}}
  - {{name: old, from: local.old}}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "serving.yaml").write_text(_SERVING)
    return tmp_path / "bundle"


@pytest.fixture
def everything(store: Path, rows_of: Callable) -> Callable[[], list[object]]:
    """What the store holds."""
    return lambda: [*rows_of(store, "account", ["C1"]), *rows_of(store, "pair", [("C1", "M1")])]


@pytest.mark.usefixtures("emulator")
def test_types_and_keys_are_the_bundles(keyscore: Callable, store: Path, bundle: Path, rows_of: Callable) -> None:
    outcome = keyscore("put", "mine", "C1", "balance=12", "city=007", "--bundle", bundle)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "mine customer_id=C1"
    assert [line.split() for line in lines[3:]] == [["balance", "12"], ["city", "007"]]
    assert keyscore("put", "both", "merchant_id=M1", "customer_id=C1", "score=null", "--bundle", bundle).code == 0
    (row,) = rows_of(store, "account", ["C1"])
    assert row == {"balance": 12.0, "visits": 7, "vip": True, "city": "007"}
    assert rows_of(store, "pair", [("C1", "M1")]) == [{"score": None}]


@pytest.mark.usefixtures("emulator")
def test_the_event_time_is_kept(keyscore: Callable, store: Path, bundle: Path) -> None:
    moment = "2026-01-31T12:00:00.25Z"
    assert keyscore("put", "mine", "C9", "balance=1", "--bundle", bundle, "--event-time", moment).code == 0
    with SqliteWriter(store) as writer:
        row = writer.row("account", "C9")
    assert row is not None
    assert {row.event_time, *(row.event_times or {}).values()} == {1769860800.25}


@pytest.mark.usefixtures("emulator")
def test_without_a_bundle_the_form_decides_and_that_is_said(keyscore: Callable, store: Path, rows_of: Callable) -> None:
    outcome = keyscore("put", f"{_PARENT}/account", "C2", "balance=1.5", "visits=3", "vip=true", "city=Bonn")
    assert outcome.code == 0
    assert outcome.err == (
        "no bundle declares this view; typed by the form of the values: "
        "balance as float, visits as int, vip as bool, city as string\n"
    )
    assert outcome.out.splitlines()[0] == "account C2"
    assert keyscore("put", f"{_PARENT}/pair", "C2", "M2", "score=0.25").code == 0
    assert rows_of(store, "account", ["C2"]) == [{"balance": 1.5, "visits": 3, "vip": True, "city": "Bonn"}]
    assert rows_of(store, "pair", [("C2", "M2")]) == [{"score": 0.25}]


@pytest.mark.usefixtures("emulator")
def test_a_column_that_the_bundle_does_not_read_is_typed_by_form(keyscore: Callable, bundle: Path) -> None:
    outcome = keyscore("put", "mine", "C1", "visits=3", "--bundle", bundle)
    assert outcome.code == 0
    assert "does not read all of these from mine; typed by the form of the values: visits as int" in outcome.err


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mien", "C1", "balance=1"), "shop reads no view 'mien'; did you mean 'mine'?"),
        (("local", "C1", "old=1"), "view 'local' needs `source: projects/P/locations/L/"),
        (("projects/p/views/account", "C1", "balance=1"), "is not a feature view's resource name, projects/P/"),
        ((f"{_PARENT}/gone", "C1", "balance=1"), f"has no feature view {_PARENT}/gone"),
        (("mine", "C1", "balanse=1"), "the store refused the write: The view has no feature 'balanse'."),
        (("mine", "C1", "balance=much"), "balance holds 'much', which is not a number"),
        (("mine", "C1"), "nothing to set: say column=value; the columns of mine are balance, city"),
        (("both", "C1", "score=1"), "the key of both comes first and has 2 parts: customer_id, merchant_id"),
        ((f"{_ELSEWHERE}/pair", "C1", "score=1.5"), "the store refused the write: The data key has 1 part(s)"),
        ((f"{_ELSEWHERE}/account", "balance=1"), "nothing to set"),
        (("mine", "C1", "balance=1", "--vertex-endpoint", "localhost:1"), "localhost:1 answered UNAVAILABLE: "),
    ],
)
def test_a_mistake_ends_in_one_line_and_nothing_is_written(
    keyscore: Callable, everything: Callable, bundle: Path, words: tuple[str, ...], said: str
) -> None:
    before = everything()
    outcome = keyscore("put", *words, "--bundle", bundle)
    assert outcome.code == 1
    assert said in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in outcome.err
    assert everything() == before


def test_a_view_without_a_bundle_needs_its_whole_name(keyscore: Callable) -> None:
    outcome = keyscore("put", "account", "C1", "balance=1", "--store", "vertex")
    assert outcome.code == 1
    assert "no bundle says where 'account' is: name one with --bundle, or say projects/P/" in outcome.err
