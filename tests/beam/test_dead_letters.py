"""An instance that cannot be scored is told with its reason, and hurts no other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.values import DType
from model.beam.connecting import SqliteAddress
from model.beam.contract import BundleContract
from model.beam.dead_letters import Unreadable
from model.beam.enrichment import Demands
from model.beam.prediction import OnError, Predict

GOOD: list[Any] = [{"customer_id": "C1", "merchant_id": "M1", "amount": 12.5}, ["C2", "M1", 3]]
UNKNOWN = {"customer_id": "C9", "merchant_id": "M1", "amount": 1}
BAD: list[tuple[Any, dict[str, Any]]] = [
    (UNKNOWN, {"type": "EntityNotFound", "feature": "balance", "view": "account"}),
    ({"customer_id": "C1", "merchant_id": "M1"}, {"type": "InstanceInvalid", "field": "amount"}),
    (["C1", "M1", -1], {"type": "InstanceInvalid", "field": "amount"}),
    ([True, "M1", 1], {"type": "InstanceInvalid", "field": "customer_id"}),
    ({**UNKNOWN, "more": 1}, {"type": "InstanceInvalid"}),
    (7, {"type": "InstanceInvalid"}),
]


@pytest.fixture
def shop_contract(shop: Callable[..., Path]) -> BundleContract:
    return BundleContract.of(str(shop()))


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row["instance"]) for row in rows)


def test_instances_that_cannot_be_scored_go_to_the_second_output_with_the_reason(
    shop_contract: BundleContract, shop_store: Path, predicted: Callable[..., Any]
) -> None:
    ran = predicted([*GOOD, *(sent for sent, _ in BAD)], Predict(shop_contract, SqliteAddress(shop_store)))
    assert in_order(ran.predictions) == sorted(map(json.dumps, GOOD))
    told = {json.dumps(row["instance"]): row["error"] for row in ran.failures}
    assert {sent: {**why, "detail": ...} for sent, why in told.items()} == {
        json.dumps(sent): {**why, "detail": ...} for sent, why in BAD
    }
    assert told[json.dumps(UNKNOWN)]["detail"] == "'account' holds no row for this entity"
    assert (ran.counts["instances"], ran.counts["failed"]) == (len(GOOD) + len(BAD), len(BAD))


def test_with_null_they_are_answered_null_in_place_and_told_all_the_same(
    shop_contract: BundleContract, shop_store: Path, predicted: Callable[..., Any]
) -> None:
    ran = predicted([GOOD[0], UNKNOWN], Predict(shop_contract, SqliteAddress(shop_store), on_error="null"))
    found = {json.dumps(row["instance"]): row["prediction"] for row in ran.predictions}
    assert found[json.dumps(UNKNOWN)] is None
    assert len(found[json.dumps(GOOD[0])]) == 2
    assert [row["instance"] for row in ran.failures] == [UNKNOWN]


def test_with_fail_the_pipeline_fails_and_says_why(
    shop_contract: BundleContract, shop_store: Path, predicted: Callable[..., Any]
) -> None:
    predict = Predict(shop_contract, SqliteAddress(shop_store), on_error=OnError.FAIL)
    with pytest.raises(Exception, match="holds no row for this entity"):
        predicted([GOOD[0], UNKNOWN], predict)


def test_what_the_model_gives_no_finite_score_is_told_alone(
    shop: Callable[..., Path], overflowing: Callable[..., bytes], tmp_path: Path, predicted: Callable[..., Any]
) -> None:
    """A balance of 80 has one, a balance of 95 has none."""
    path = tmp_path / "rich.sqlite"
    with SqliteWriter(path) as writer:
        accounts = [StoredRow("C1", {"balance": 80.0, "city": "a"}), StoredRow("C3", {"balance": 95.0, "city": "a"})]
        writer.replace_view("account", ("customer_id",), {"balance": DType.FLOAT, "city": DType.STRING}, accounts)
        writer.replace_view("activity", ("customer_id",), {"visits": DType.INT}, [])
        writer.replace_view("risk", ("merchant_id",), {"rate": DType.FLOAT}, [StoredRow("M1", {"rate": 33.0})])
    predict = Predict(BundleContract.of(str(shop(overflowing))), SqliteAddress(path))
    ran = predicted([["C1", "M1", 1], ["C3", "M1", 1]], predict)
    assert [row["instance"] for row in ran.predictions] == [["C1", "M1", 1]]
    why = {"type": "ScoreNotFinite", "detail": "the model gave a score that is not a finite number"}
    assert ran.failures == [{"instance": ["C3", "M1", 1], "error": why}]


def test_nulls_and_defaults_score_as_the_spec_says_and_are_counted(
    shop_contract: BundleContract, shop_store: Path, predicted: Callable[..., Any]
) -> None:
    ran = predicted([["C3", "M1", 1]], Predict(shop_contract, SqliteAddress(shop_store)))
    assert len(ran.predictions) == 1
    assert (ran.failures, ran.counts["defaulted"]) == ([], 1)  # the balance is missing, the visits are 0


def test_what_is_no_row_at_all_is_told_as_it_came(
    shop_contract: BundleContract, shop_store: Path, predicted: Callable[..., Any]
) -> None:
    ran = predicted(
        [GOOD[0], Unreadable("{", "line 2: is not JSON")], Predict(shop_contract, SqliteAddress(shop_store))
    )
    assert [row["instance"] for row in ran.predictions] == [GOOD[0]]
    assert ran.failures == [{"instance": "{", "error": {"type": "InstanceInvalid", "detail": "line 2: is not JSON"}}]


def test_undeclared_members_are_passed_over_where_the_pipeline_says_so(
    shop_contract: BundleContract, shop_store: Path, predicted: Callable[..., Any]
) -> None:
    more = {**GOOD[0], "loaded_at": "2026-01-01"}
    ran = predicted([more], Predict(shop_contract, SqliteAddress(shop_store), Demands(ignore_extra=True)))
    assert [row["instance"] for row in ran.predictions] == [more]
