"""`keyscore check` says of everything whether it is well, and goes on after the first problem."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.values import DType


@pytest.fixture
def bundle(small_demo: Any, tmp_path: Path) -> Path:
    """A copy of the demo's bundle that a test may spoil."""
    shutil.copytree(small_demo.bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def sqlite(small_demo: Any, tmp_path: Path) -> Path:
    """A copy of the demo's store that a test may spoil."""
    shutil.copy(small_demo.store, tmp_path / "store.sqlite")
    return tmp_path / "store.sqlite"


@pytest.fixture
def checked(keyscore: Callable, bundle: Path, sqlite: Path) -> Callable[..., tuple[int, list[tuple[str, str]]]]:
    """`checked(*flags)`: the exit code, and level and text of every line."""

    def run(*flags: object) -> tuple[int, list[tuple[str, str]]]:
        outcome = keyscore("check", "--bundle", bundle, "--sqlite-path", sqlite, *flags)
        lines = [line.split(maxsplit=1) for line in outcome.out.splitlines()]
        return outcome.code, [(level, text) for level, text in lines]

    return run


KEY_AGAIN = "load it again with `--key customer_id`"
DTYPE_AGAIN = "the spec reads it as float; load it again with `--dtype balance=float`"
COLUMN_AGAIN = "load it again with that column"


def problems(found: list[tuple[str, str]]) -> list[str]:
    return [text for level, text in found if level == "problem"]


def test_all_is_well(checked: Callable, bundle: Path, sqlite: Path) -> None:
    code, found = checked()
    assert code == 0
    assert [level for level, _ in found] == ["ok"] * 9
    texts = [text for _, text in found]
    assert texts[0] == "settings: valid"
    assert texts[1].startswith("authentication: off; ")
    assert texts[2] == f"store: {sqlite} holds 3 views"
    assert texts[3].startswith(f"bundle: {bundle} is card-fraud 1: 24 features from 3 views, model sha256:")
    assert texts[4] == "view customer_account: 300 rows, 4 columns read"
    assert texts[7] == "golden lines: 240 lines score as recorded"
    assert texts[8].startswith('example: {"customer_id":"C')
    assert " scores [" in texts[8]


def test_settings_store_and_bundle_are_all_looked_at(
    checked: Callable, sqlite: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYSCORE_DEADLINE_S", "-1")
    monkeypatch.setenv("PORT", "http")
    sqlite.unlink()
    (bundle / "model.cbm").write_bytes(b"CBM1")
    code, found = checked("--max-in-flight", "none")
    assert code == 1
    said = problems(found)
    assert said[0].startswith("settings: KEYSCORE_DEADLINE_S: input should be greater than 0")
    assert said[1].startswith("settings: KEYSCORE_MAX_IN_FLIGHT: input should be a valid integer")
    assert said[2].startswith("settings: PORT must be a port number")
    assert said[3].startswith(f"store: the store's file {sqlite} does not exist; `keyscore demo` or `keyscore load")
    assert said[4].startswith("bundle: model.cbm is not the file that the bundle names: expected sha256:")
    assert [level for level, _ in found if level != "problem"] == ["ok"]  # authentication needs none of these
    assert len(said) == 5


def test_a_misspelt_variable_is_a_warning(checked: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSCORE_SQLITEPATH", "x")
    code, found = checked()
    assert code == 0
    assert (
        "warning",
        "settings: KEYSCORE_SQLITEPATH is set but is no setting; did you mean 'KEYSCORE_SQLITE_PATH'?",
    ) in found


def test_an_unknown_flag_is_named(keyscore: Callable) -> None:
    outcome = keyscore("check", "--prot", "1")
    assert outcome.code == 2
    assert "keyscore check: error: unrecognized arguments: --prot 1" in outcome.err


def spoil_bundle(bundle: Path, how: str) -> None:
    serving = bundle / "serving.yaml"
    match how:
        case "missing":
            shutil.rmtree(bundle)
        case "no serving.yaml":
            serving.unlink()
        case "no model":
            (bundle / "model.cbm").unlink()
        case "not YAML":
            serving.write_text("name: [")
        case "disagrees":
            text = serving.read_text()
            serving.write_text(
                text.replace("{name: balance,", "{name: balanse,").replace("[amount, balance]", "[amount, balanse]")
            )
        case "golden":
            golden = bundle / "golden.jsonl"
            golden.write_text(golden.read_text().replace('"scores": [0.', '"scores": [0.5', 1))
        case "golden line":
            (bundle / "golden.jsonl").write_text("{}\n")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "bundle does not exist"),
        ("no serving.yaml", "holds no serving.yaml: write one, or name the one view of its features in KEYSCORE_VIEW"),
        ("no model", "holds no model.cbm: check the bundle's address"),
        ("not YAML", "serving.yaml:1: is not YAML"),
        ("disagrees", "model and serving.yaml disagree: the model has no feature 'balanse'"),
        ("golden", "golden lines: golden.jsonl: line 1 does not score as recorded"),
        ("golden line", "golden lines: golden.jsonl:1: is not a golden line"),
    ],
)
def test_what_is_wrong_with_a_bundle(checked: Callable, bundle: Path, how: str, said: str) -> None:
    spoil_bundle(bundle, how)
    code, found = checked()
    assert code == 1
    (problem,) = problems(found)
    assert said in problem
    assert ("ok", "settings: valid") in found


def test_no_bundle_on_a_platform(keyscore: Callable, sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_SERVICE", "scores")
    outcome = keyscore("check", "--sqlite-path", sqlite)
    assert outcome.code == 1
    assert "problem bundle: no bundle: set KEYSCORE_BUNDLE" in outcome.out


def test_a_bundle_without_golden_lines_is_a_warning(checked: Callable, bundle: Path) -> None:
    (bundle / "golden.jsonl").unlink()
    code, found = checked()
    assert code == 0
    assert [level for level, _ in found].count("warning") == 2  # nothing proves the scores, and no example is at hand
    assert any(text.startswith("example: no entity at hand to try") for _, text in found)


def spoil_store(path: Path, how: str) -> sqlite3.Connection | None:
    match how:
        case "missing":
            path.unlink()
        case "not a database":
            path.write_bytes(b"x" * 10_000)
        case "foreign":
            path.unlink()
            sqlite3.connect(path).executescript("CREATE TABLE mine (x)").connection.close()
        case "locked":
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            return connection
    return None


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "does not exist; `keyscore demo` or `keyscore load VIEW FILE` makes one"),
        ("not a database", "is not a sqlite database or is damaged; build it anew"),
        ("foreign", "is a sqlite database, but not a Keyscore store; name another KEYSCORE_SQLITE_PATH"),
        ("locked", "is locked by another process; end it and try again"),
    ],
)
def test_what_is_wrong_with_a_store(checked: Callable, sqlite: Path, how: str, said: str) -> None:
    holder = spoil_store(sqlite, how)
    code, found = checked()
    if holder is not None:
        holder.close()
    assert code == 1
    (problem,) = problems(found)
    assert problem.startswith("store: ")
    assert said in problem
    assert ("ok", "golden lines: 240 lines score as recorded") in found


def test_what_is_wrong_with_the_views(checked: Callable, sqlite: Path) -> None:
    with SqliteWriter(sqlite) as writer:
        columns = {"balance": DType.STRING, "credit_limit": DType.FLOAT, "account_age_days": DType.INT}
        writer.replace_view("customer_account", ("a", "b"), columns, [StoredRow(("1", "2"), {"balance": "x"})])
        activity = writer.views()["customer_activity"]
        writer.replace_view("customer_activity", activity.keys, activity.columns, [])
    connection = sqlite3.connect(sqlite)
    with connection:
        connection.execute("DELETE FROM views WHERE name = 'merchant_risk'")
    connection.close()
    code, found = checked()
    assert code == 1
    load = "keyscore load"
    assert [problem.split(": ", 1) for problem in problems(found)] == [
        [
            "view customer_account",
            f"view 'customer_account' is stored under a, b, the spec reads it by customer_id; {KEY_AGAIN}",
        ],
        ["view customer_account", f"column 'balance' of view 'customer_account' is stored as string, {DTYPE_AGAIN}"],
        [
            "view customer_account",
            f"view 'customer_account' is stored without the column 'home_country'; {COLUMN_AGAIN}",
        ],
        ["view customer_activity", f"holds no rows; fill it with `{load} customer_activity FILE --key customer_id`"],
        [
            "view merchant_risk",
            f"the store has no view 'merchant_risk'; fill it with `{load} merchant_risk FILE --key merchant_id`",
        ],
    ]


def test_an_example_that_is_not_answered(checked: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSCORE_DEADLINE_S", "1e-9")
    code, found = checked()
    assert code == 1
    (problem,) = problems(found)
    assert problem.startswith("example: {")
    assert "is not answered: " in problem


def test_the_deployments_own_parameters_are_looked_at_too(checked: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSCORE_PARAMETERS", '{"on_error": "null", "response": "detailed"}')
    code, found = checked()
    assert (code, found[-1][1].startswith("example: {")) == (0, True)
    monkeypatch.setenv("KEYSCORE_PARAMETERS", '{"on_error": null}')
    code, found = checked()
    assert code == 1
    assert "KEYSCORE_PARAMETERS must be a JSON object" in problems(found)[0]
