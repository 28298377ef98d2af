"""`keyscore predict` answers as the service does, and shows where every value came from."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.cli.console import human_age

FIELDS = {"amount": 12.5, "channel": "online"}


@pytest.fixture
def flags(small_demo: Any) -> tuple[str, ...]:
    return ("--bundle", str(small_demo.bundle), "--sqlite-path", str(small_demo.store))


@pytest.fixture
def known(small_demo: Any) -> dict[str, Any]:
    """The first golden line's entities, which are in the store, with other request fields."""
    line = json.loads((small_demo.bundle / "golden.jsonl").read_text().splitlines()[0])
    return {**line["instance"], **FIELDS}


@pytest.fixture
def plain(
    tmp_path: Path, train: Callable, write_bundle: Callable, keyscore: Callable
) -> Callable[..., tuple[str, ...]]:
    """`plain("007", …)`: flags for a bundle of one key and no request field, with these keys in its store."""

    def make(*keys: str) -> tuple[str, ...]:
        bundle = write_bundle(train(("a", "b")))
        (tmp_path / "rows.csv").write_text("id,a,b\n" + "".join(f"{key},1.5,\n" for key in keys))
        assert keyscore("load", "my_view", "rows.csv", "--key", "id").code == 0
        return ("--bundle", str(bundle), "--view", "my_view")

    return make


def test_all_ways_of_writing_an_instance_are_answered_alike(
    keyscore: Callable, flags: tuple[str, ...], known: dict[str, Any]
) -> None:
    pairs = [f"{name}={value}" for name, value in known.items()]
    ways = (pairs, pairs[::-1], [json.dumps(known)], [json.dumps(list(known.values()))])
    outcomes = [keyscore("predict", *way, *flags, "--json") for way in ways]
    assert [outcome.code for outcome in outcomes] == [0] * len(ways)
    answers = [json.loads(outcome.out)["predictions"] for outcome in outcomes]
    assert len({tuple(answer["scores"]) for (answer,) in answers}) == 1
    assert answers[0][0]["entity_id"] == {"customer_id": known["customer_id"], "merchant_id": known["merchant_id"]}


def test_the_table_tells_the_whole_story(keyscore: Callable, flags: tuple[str, ...], known: dict[str, Any]) -> None:
    outcome = keyscore("predict", json.dumps(known), *flags)
    assert outcome.code == 0
    lines = {line.split()[0]: line.split()[1:] for line in outcome.out.splitlines() if line}
    assert lines["entity"] == [f"customer_id={known['customer_id']},", f"merchant_id={known['merchant_id']}"]
    assert lines["class"] in (["0"], ["1"])
    assert lines["scores"][0] == "0:"
    assert lines["model"][:2] == ["card-fraud", "1"]
    assert lines["feature"] == ["value", "status", "source", "age"]
    assert lines["amount"] == ["12.5", "PRESENT", "request"]
    assert lines["credit_limit"][1:3] == ["PRESENT", "store"]
    assert lines["credit_limit"][-1] in ("s", "min", "h", "d")
    assert lines["amount_to_limit"][1:] == ["PRESENT", "derived"]
    assert "\x1b" not in outcome.out


def test_a_value_that_is_not_there_is_shown_as_missing(
    keyscore: Callable, small_demo: Any, tmp_path: Path, known: dict[str, Any]
) -> None:
    store = tmp_path / "mine.sqlite"
    shutil.copy(small_demo.store, store)
    customer = known["customer_id"]
    assert keyscore("put", "customer_account", customer, "balance=null", "--sqlite-path", store).code == 0
    outcome = keyscore("predict", json.dumps(known), "--bundle", small_demo.bundle, "--sqlite-path", store)
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("balance "))
    assert line.split()[:4] == ["balance", "missing", "NULL", "missing"]


def test_a_sensitive_value_is_masked_in_the_table_and_as_json(
    keyscore: Callable, small_demo: Any, tmp_path: Path, known: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "secretive"
    shutil.copytree(small_demo.bundle, bundle)
    serving = (bundle / "serving.yaml").read_text()
    (bundle / "serving.yaml").write_text(serving.replace("{name: balance, ", "{name: balance, sensitive: true, "))
    monkeypatch.setenv("KEYSCORE_DETAILED", "off")  # nothing to whoever can read the store as well
    flags = ("--bundle", bundle, "--sqlite-path", small_demo.store)
    table = keyscore("predict", json.dumps(known), *flags)
    lines = {line.split()[0]: line.split()[1:] for line in table.out.splitlines() if line}
    assert lines["balance"][:3] == ["masked", "PRESENT", "store"]
    assert lines["amount_to_balance"] == ["masked", "PRESENT", "derived"]
    (told,) = json.loads(keyscore("predict", json.dumps(known), *flags, "--json").out)["predictions"]
    hidden = [name for name, used in told["features"].items() if used.get("masked")]
    assert {"balance", "amount_to_balance"} <= set(hidden)
    assert all(told["features"][name]["value"] is None for name in hidden)


@pytest.mark.parametrize("key", ["007", "1e5", "a=b", "null", "x y"])
def test_a_key_alone_is_taken_as_it_is_written(keyscore: Callable, plain: Callable, key: str) -> None:
    outcome = keyscore("predict", key, *plain(key))
    assert outcome.code == 0
    assert outcome.out.startswith(f"entity  {key}")


@pytest.mark.parametrize("way", ['"T 1"', '["T 1"]', '{"id": "T 1"}', "id=T 1"])
def test_a_single_key_in_other_shapes(keyscore: Callable, plain: Callable, way: str) -> None:
    outcome = keyscore("predict", way, *plain("T 1"))
    assert outcome.code == 0
    assert outcome.out.startswith("entity  T 1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("customer_id=nobody", "merchant_id=M00001", "amount=1", "channel=chip"),
            "'customer_account' holds no row for",
        ),
        (("customer_id=C1", "merchant_id=M1", "channel=chip"), "'amount' is missing"),
        (("customer_id=C1", "merchant_id=M1", "amount=lots", "channel=chip"), "'amount' must be a finite number"),
        (("customer_id=C1", "merchant_id=M1", "amount=-1", "channel=chip"), "'amount' must be at least 0"),
        (("custmer_id=C1",), "'custmer_id' is neither a key nor a request field"),
        (("custmer_id=C1",), "did you mean 'customer_id'?"),
        (("customer_id=C1", "customer_id=C2"), "'customer_id' is given twice"),
        (("C1",), "'C1' is no name=value pair; say customer_id=… merchant_id=… amount=… channel=…"),
        (("C1", "M1", "1", "chip"), "'C1' is no name=value pair"),
        (('{"customer_id": ',), "not JSON: "),
        (('["C1"]',), "a list must hold 4 values: customer_id, merchant_id, amount, channel"),
        (('{"customer_id": "C1", "colour": 1, "a": 1, "b": 2, "c": 3}',), "an instance may hold customer_id"),
    ],
)
def test_a_mistake_is_one_line(keyscore: Callable, flags: tuple[str, ...], words: tuple[str, ...], said: str) -> None:
    outcome = keyscore("predict", *words, *flags)
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert said in outcome.err


def test_what_cannot_start_says_why(keyscore: Callable, small_demo: Any) -> None:
    there = ("--sqlite-path", str(small_demo.store))
    assert keyscore("predict", "x", *there).err == "error: var/demo does not exist; `keyscore demo` builds it\n"
    assert "nowhere does not exist" in keyscore("predict", "x", "--bundle", "nowhere", *there).err
    assert "var/features.sqlite does not exist" in keyscore("predict", "x", "--bundle", small_demo.bundle).err
    assert "KEYSCORE_STORE: input should be" in keyscore("predict", "x", "--store", "mongodb").err


def test_a_row_that_cannot_be_read_says_why(keyscore: Callable, plain: Callable, tmp_path: Path) -> None:
    flags = plain("T1")
    connection = sqlite3.connect(tmp_path / "var" / "features.sqlite")
    with connection:
        connection.execute("UPDATE rows SET row = CAST('{' AS BLOB)")
    connection.close()
    outcome = keyscore("predict", "T1", *flags)
    assert outcome.err == "error: 'a' of 'my_view' could not be read: a stored row is damaged\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (0.04, "0.0 s"), (9.94, "9.9 s"), (12, "12 s"), (180, "3 min"), (7560, "2.1 h"), (293_760, "3.4 d")],
)
def test_ages_as_a_person_says_them(seconds: float | None, said: str) -> None:
    assert human_age(seconds) == said


def test_it_shows_the_whole_story_whatever_the_deployments_own_parameters_say(
    keyscore: Callable, flags: tuple[str, ...], known: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYSCORE_PARAMETERS", '{"on_error": "null", "response": "simple"}')
    assert "scores" in keyscore("predict", json.dumps(known), *flags).out
    assert keyscore("predict", json.dumps({**known, "amount": -1}), *flags).code == 1
