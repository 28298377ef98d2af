"""From a model and a file of rows to predictions: one `load`, no serving.yaml."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest
from catboost import CatBoostClassifier

from service.settings import Platform, Settings
from service.wiring import running_service

FEATURES = [f"v{at}" for at in range(30)]


@pytest.mark.anyio
@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
async def test_a_model_alone_scores_a_loaded_file_as_catboost_does(
    keyscore: Callable, tmp_path: Path, suffix: str
) -> None:
    random = np.random.default_rng(5)
    frame = pd.DataFrame(random.normal(size=(300, 30)) * 10.0 ** random.integers(-6, 6, 30), columns=FEATURES)
    frame = frame.mask(random.random(frame.shape) < 0.05)
    label = (frame["v3"].fillna(0) > 0).astype(int)
    model = CatBoostClassifier(iterations=30, depth=4, verbose=False, allow_writing_files=False, thread_count=1)
    model.fit(frame, label)
    (tmp_path / "model").mkdir()
    model.save_model(str(tmp_path / "model" / "model.cbm"))
    ids = [f"{n:05d}" for n in range(len(frame))]
    split = ["train" if n % 5 else "test" for n in range(len(frame))]
    rows = frame.assign(label=label, transaction_id=ids, split=split)[
        ["split", *random.permutation(FEATURES), "transaction_id", "label"]
    ]
    match suffix:
        case "csv":
            rows.to_csv(tmp_path / "rows.csv", index=False)
        case "parquet":
            rows.to_parquet(tmp_path / "rows.parquet", index=False)
        case _:
            rows.to_json(tmp_path / "rows.jsonl", orient="records", lines=True, double_precision=15)
            frame = pd.read_json(tmp_path / "rows.jsonl", lines=True, precise_float=True)[FEATURES].astype(float)

    assert keyscore("load", "my_view", f"rows.{suffix}", "--key", "transaction_id").code == 0

    settings = Settings(bundle="model", view="my_view")
    async with running_service(settings, Platform()) as service:
        with service.pipeline.admission.admit() as permit:
            body = orjson.dumps({"instances": ids})
            answer = await service.pipeline.answer(body, permit, detailed=False)
    assert json.loads(answer.body)["predictions"] == model.predict_proba(frame).tolist()
