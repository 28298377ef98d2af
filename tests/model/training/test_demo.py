"""A build is whole or not there, and its store holds what its bundle asks for."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.clock import SystemClock
from features.deadline import Deadline
from features.spec_parsing import parse_serving_yaml
from features.stores.sqlite import SqliteStore
from features.transforms import BUILT_IN
from features.values import FeatureRow
from model.training.card import ModelCard
from model.training.catalog import VIEWS
from model.training.demo import build_demo, online_rows, write_store
from model.training.features_in_time import PointInTime
from model.training.history import History
from model.training.simulate import SimulationConfig

FILES = {"model.cbm", "serving.yaml", "golden.jsonl", "model_card.md", "model_card.svg"}


class Killed(Exception):
    """Stands for whatever ends a build."""


def test_the_bundle_holds_its_files_and_nothing_stays_beside_it(bundle: Path) -> None:
    assert {path.name for path in bundle.iterdir()} == FILES
    assert {path.name for path in bundle.parent.iterdir()} - {"store.sqlite-wal", "store.sqlite-shm"} == {
        "bundle",
        "store.sqlite",
    }


def test_each_long_step_is_told_in_one_short_line(told: list[str]) -> None:
    assert told[0] == "simulating 300 customers, 250 merchants, 70 days"
    assert sum(line.startswith("training: ") for line in told) == 10
    assert all("\n" not in line for line in told)


def test_the_same_configuration_builds_the_same_bundle(
    bundle: Path, card: ModelCard, small: SimulationConfig, tmp_path: Path
) -> None:
    again = build_demo(tmp_path / "bundle", tmp_path / "store.sqlite", small, lambda _: None)
    assert again == card
    for name in FILES:
        assert (tmp_path / "bundle" / name).read_bytes() == (bundle / name).read_bytes(), name


def test_rows_are_python_values_with_null_for_empty_windows(history: History, known: PointInTime) -> None:
    rows = {view: list(found) for view, found in online_rows(known).items()}
    assert rows["customer_account"][17].key == "C00017"
    assert rows["merchant_risk"][42].key == "M00042"
    kinds = {type(value) for found in rows.values() for row in found for value in row.values.values()}
    assert kinds == {int, float, str, type(None)}
    for row in rows["customer_activity"]:
        assert (row.values["mean_amount_30d"] is None) == (row.values["txn_count_30d"] == 0)
        assert row.event_time is not None
        assert row.event_time <= history.end_s


def test_the_store_answers_with_the_state_at_the_end(bundle: Path, store: Path, known: PointInTime) -> None:
    spec = parse_serving_yaml((bundle / "serving.yaml").read_bytes(), "serving.yaml", BUILT_IN).spec
    account = next(view for view in spec.views if view.name == "customer_account")

    async def read() -> object:
        opened = SqliteStore(store)
        await opened.open()
        try:
            assert set(await opened.views()) == set(VIEWS)
            return (await opened.read(account, ["C00017"], Deadline.after(60.0, SystemClock())))["C00017"]
        finally:
            await opened.aclose()

    row = asyncio.run(read())
    assert isinstance(row, FeatureRow)
    balance = [column.name for column in account.layout.columns].index("balance")
    latest = known.latest()["customer_account"]
    assert account.layout.value(row, balance) == latest.columns["balance"][17]
    assert row.event_time == latest.event_time_s[17]


def test_a_build_that_ends_early_leaves_nothing(small: SimulationConfig, tmp_path: Path) -> None:
    def give_up(line: str) -> None:
        if line.startswith("stored"):
            raise Killed

    with pytest.raises(Killed):
        build_demo(tmp_path / "bundle", tmp_path / "store.sqlite", small, give_up)
    assert not any(path.is_dir() for path in tmp_path.iterdir())


def test_a_bundle_is_replaced_and_another_folder_is_not(small: SimulationConfig, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letters.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(FileExistsError, match="not a bundle"):
        build_demo(mine, tmp_path / "store.sqlite", small, lambda _: None)
    assert (mine / "letters.txt").exists()

    old = tmp_path / "old"
    old.mkdir()
    (old / "serving.yaml").write_text("name: old", encoding="utf-8")
    build_demo(old, tmp_path / "store.sqlite", small, lambda _: None)
    assert {path.name for path in old.iterdir()} == FILES


def test_a_history_too_short_is_refused_before_the_work(small: SimulationConfig, tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(ValueError, match="nothing to train on"):
        build_demo(tmp_path / "bundle", tmp_path / "store.sqlite", replace(small, days=40), told.append)
    assert told == []


def test_the_store_takes_all_views_again(known: PointInTime, tmp_path: Path) -> None:
    first = write_store(tmp_path / "store.sqlite", known)
    assert write_store(tmp_path / "store.sqlite", known) == first
    sizes = [len(state.entity) for state in known.latest().values()]
    assert first == np.sum(sizes)
