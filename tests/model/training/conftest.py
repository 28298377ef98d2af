"""One small simulation and one small build for the whole folder; neither is ever changed by a test."""

from pathlib import Path

import pytest

from model.training.card import ModelCard
from model.training.demo import build_demo
from model.training.features_in_time import PointInTime
from model.training.history import History
from model.training.simulate import SimulationConfig, simulate

END_S = 1_767_225_600  # 1 January 2026, midnight UTC
SMALL = SimulationConfig(customers=300, merchants=250, days=70, seed=5, end_s=END_S)


@pytest.fixture(scope="session")
def small() -> SimulationConfig:
    return SMALL


@pytest.fixture(scope="session")
def history() -> History:
    return simulate(SMALL)


@pytest.fixture(scope="session")
def known(history: History) -> PointInTime:
    return PointInTime(history)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelCard, list[str]]:
    """The folder of the bundle and the store, the card, and what was said on the way."""
    folder = tmp_path_factory.mktemp("demo")
    told: list[str] = []
    card = build_demo(folder / "bundle", folder / "store.sqlite", SMALL, told.append)
    return folder, card, told


@pytest.fixture(scope="session")
def bundle(built: tuple[Path, ModelCard, list[str]]) -> Path:
    return built[0] / "bundle"


@pytest.fixture(scope="session")
def store(built: tuple[Path, ModelCard, list[str]]) -> Path:
    return built[0] / "store.sqlite"


@pytest.fixture(scope="session")
def card(built: tuple[Path, ModelCard, list[str]]) -> ModelCard:
    return built[1]


@pytest.fixture(scope="session")
def told(built: tuple[Path, ModelCard, list[str]]) -> list[str]:
    return built[2]
