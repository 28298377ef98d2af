"""One entity has one score: by every shape, on both routes, alone and among others, and as training computed it."""

import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.clock import ManualClock
from features.stores.memory import MemoryStore
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.tf_example import Example
from model.training.catalog import KEY_OF, VIEWS

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[httpx.AsyncClient]]


def example(**values: str | float) -> dict[str, str]:
    """The values as Vertex AI batch prediction sends a TFRecord."""
    made = Example()
    for name, value in values.items():
        feature = made.features.feature[name]
        if isinstance(value, str):
            feature.bytes_list.value.append(value.encode())
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        else:
            feature.float_list.value.append(value)
    return {"b64": base64.b64encode(made.SerializeToString(deterministic=True)).decode()}


async def simple(client: httpx.AsyncClient, instances: list[Any], **parameters: Any) -> list[Any]:
    answer = await client.post("/predict", json={"instances": instances, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["predictions"]
    return found


async def test_every_golden_line_scores_over_http_as_training_did(
    serve: Serve, small_demo: Any, tmp_path: Path, clock: ManualClock
) -> None:
    lines = [json.loads(line) for line in (small_demo.bundle / "golden.jsonl").read_text().splitlines()]
    with SqliteWriter(tmp_path / "store.sqlite") as writer:  # no customer and no merchant appears twice
        for name, view in VIEWS.items():
            key = KEY_OF[view.entity]
            rows = [
                StoredRow(line["instance"][key], line["rows"][name]["values"], line["rows"][name]["event_time"])
                for line in lines
                if name in line["rows"]
            ]
            assert writer.replace_view(name, (key,), view.columns, rows) == len(rows)
    client = await serve(small_demo.bundle, sqlite_path=tmp_path / "store.sqlite", clock=clock)
    together = await simple(client, [line["instance"] for line in lines])
    alone = [(await simple(client, [line["instance"]]))[0] for line in lines[:40]]
    assert len(lines) >= 200
    assert together[:40] == alone
    off = [
        abs(a - b)
        for found, line in zip(together, lines, strict=True)
        for a, b in zip(found, line["scores"], strict=True)
    ]
    assert max(off) <= 1e-9


@pytest.fixture
async def one_key(serve: Serve, train: Callable[..., bytes], write_bundle: Callable[..., Path]) -> httpx.AsyncClient:
    """A model alone over the customer 1001, and a few whose keys look like it."""
    store = MemoryStore()
    for at, key in enumerate(["1001", "01001", "1001.0", "7", "007", str(2**53), str(2**53 + 1)]):
        store.put("people", key, {"a": at * 14.0, "b": 100 - at * 14.0, "c": at * 7.0})
    return await serve(write_bundle(train(("a", "b", "c"))), store, view="people")


async def test_every_shape_of_one_key_scores_identically(one_key: httpx.AsyncClient) -> None:
    text = base64.b64encode(b"1001").decode()
    shapes: list[Any] = ["1001", 1001, 1001.0, ["1001"], [1001], [1001.0], {"entity_id": "1001"}, {"entity_id": 1001}]
    shapes += [{"b64": text}, {"b64": base64.b64encode(b"1001\n").decode()}]
    shapes += [example(entity_id="1001"), example(entity_id=1001), example(entity_id=1001.0)]
    scores = await simple(one_key, shapes)
    assert scores == [scores[0]] * len(shapes)
    detailed = await one_key.post("/predict/detailed", json={"instances": shapes})
    assert {one["entity_id"] for one in detailed.json()["predictions"]} == {"1001"}


async def test_keys_that_look_alike_never_get_each_others_score(one_key: httpx.AsyncClient) -> None:
    alike = ["1001", "01001", "1001.0", "7", "007", 2**53, 2**53 + 1]
    answer = await one_key.post("/predict/detailed", json={"instances": alike})
    told = answer.json()["predictions"]
    assert [one["entity_id"] for one in told] == [str(key) for key in alike]
    assert [one["features"]["c"]["value"] for one in told] == [at * 7.0 for at in range(7)]
    assert (await simple(one_key, [7, 7.0])) == [told[3]["scores"]] * 2
    refused = await one_key.post("/predict", content=b'{"instances": [9007199254740993.0]}')
    assert refused.status_code == 422
    unknown = await one_key.post("/predict", json={"instances": ["1001 "]})
    assert unknown.status_code == 404


@pytest.fixture
async def shopping(serve: Serve, shop: Callable[..., Path], goods: MemoryStore) -> httpx.AsyncClient:
    return await serve(shop(), goods)


async def test_every_shape_of_keys_and_fields_scores_identically(shopping: httpx.AsyncClient) -> None:
    shapes: list[Any] = [
        ["C1", "M1", 12.34],
        {"customer_id": "C1", "merchant_id": "M1", "amount": 12.34},
        {"amount": 12.34, "merchant_id": "M1", "customer_id": "C1"},
        example(customer_id="C1", merchant_id="M1", amount=12.34),
        ["C1", "M1", 12.34000015258789],  # as the detailed answer of an older release may have shown it
    ]
    scores = await simple(shopping, shapes)
    assert scores == [scores[0]] * len(shapes)
    detailed = await shopping.post("/predict/detailed", json={"instances": shapes})
    assert {one["features"]["amount"]["value"] for one in detailed.json()["predictions"]} == {12.34}


async def test_both_routes_and_both_styles_answer_bit_identical_scores(shopping: httpx.AsyncClient) -> None:
    instances = [[customer, "M1", amount / 7] for customer in ("C1", "C2") for amount in range(0, 700, 13)]
    scores = await simple(shopping, instances)
    assert len({tuple(score) for score in scores}) > 10
    for path, style in (("/predict/detailed", None), ("/predict", "detailed"), ("/predict/detailed", "detailed")):
        sent = {"instances": instances, "parameters": {} if style is None else {"response": style}}
        told = (await shopping.post(path, json=sent)).json()["predictions"]
        assert [one["scores"] for one in told] == scores
    sent = {"instances": instances, "parameters": {"response": "simple"}}
    assert (await shopping.post("/predict/detailed", json=sent)).json()["predictions"] == scores


async def test_more_rows_than_are_scored_on_the_loop_score_alike(shopping: httpx.AsyncClient) -> None:
    (alone,) = await simple(shopping, [["C2", "M1", 3]])
    assert await simple(shopping, [["C2", "M1", 3]] * 1_001) == [alone] * 1_001


async def test_extra_columns_of_a_row_change_nothing(shopping: httpx.AsyncClient) -> None:
    row = {"customer_id": "C1", "merchant_id": "M1", "amount": 5, "loaded_at": "2026-01-01", "b": [1]}
    assert await simple(shopping, [row], extra="ignore") == await simple(shopping, [["C1", "M1", 5]])
