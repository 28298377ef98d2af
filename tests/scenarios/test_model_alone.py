"""A model with 30 numeric features and nothing but its .cbm is served from one named view."""

import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from catboost import CatBoostClassifier

from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.values import DType

pytestmark = pytest.mark.anyio

NAMES = [f"feature_{at}" for at in range(30)]
ROWS = {
    f"P{at}": {name: float((at * 31 + position * 17) % 100) for position, name in enumerate(NAMES)} for at in range(8)
}


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_order_the_stores_columns_have_and_whatever_else_it_holds(
    serve: Callable[..., Awaitable[httpx.AsyncClient]],
    train: Callable[..., bytes],
    write_bundle: Callable[..., Path],
    tmp_path: Path,
    seed: int,
) -> None:
    blob = train(NAMES)
    shuffled = random.Random(seed).sample([*NAMES, "loaded_at", "note"], 32)  # noqa: S311  # an order, not a secret
    columns = {name: DType.STRING if name in ("loaded_at", "note") else DType.FLOAT for name in shuffled}
    with SqliteWriter(tmp_path / "store.sqlite") as writer:
        rows = [
            StoredRow(key, {name: values.get(name, "something else") for name in shuffled})
            for key, values in ROWS.items()
        ]
        writer.replace_view("people", ("person_id",), columns, rows)
    client = await serve(write_bundle(blob), sqlite_path=tmp_path / "store.sqlite", view="people")
    answer = await client.post("/predict/detailed", json={"instances": [*ROWS, {"person_id": "P3"}]})
    told = answer.json()["predictions"]
    assert list(told[0]["features"]) == NAMES
    assert told[2]["features"]["feature_7"]["value"] == ROWS["P2"]["feature_7"]
    assert told[-1]["scores"] == told[3]["scores"]
    assert [one["scores"] for one in told[:-1]] == _scores_of_catboost(blob)


def _scores_of_catboost(blob: bytes) -> list[list[float]]:
    model = CatBoostClassifier().load_model(blob=blob)
    found: list[list[float]] = model.predict_proba([[row[name] for name in NAMES] for row in ROWS.values()]).tolist()
    return found
