"""Where a form cannot tell which entity is meant, nothing is guessed: the message says what is wrong and what to do."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

Row = dict[str, Any]
Deploy = Callable[[str], Awaitable[Any]]
NOT_KEY = "Vertex AI's keyField and excludedFields must not name it"
CHOOSE = "on Vertex AI includedFields chooses them, and keyField must name none of them"


def table(row: Row) -> Row:
    """A row of a table with columns of its own before and behind."""
    return {"row_id": 7, **row, "loaded_at": "2026-11-22"}


REFUSED = {
    "key-hides-only-id": ("string", {"keyField": "customer_id"}, dict, f"'customer_id' is missing; {NOT_KEY}"),
    "key-hides-number": ("int64", {"keyField": "customer_id"}, dict, f"'customer_id' is missing; {NOT_KEY}"),
    "key-hides-part": ("composite", {"keyField": "number"}, dict, f"'number' is missing; {NOT_KEY}"),
    "key-hides-one-id": ("demo", {"keyField": "merchant_id"}, dict, f"'merchant_id' is missing; {NOT_KEY}"),
    "excluded-hides-id": ("demo", {"excludedFields": ["customer_id"]}, dict, f"'customer_id' is missing; {NOT_KEY}"),
    "excluded-field": ("demo", {"excludedFields": ["channel"]}, dict, "'channel' is missing"),
    "other-columns": ("string", {}, table, 'parameters {"extra": "ignore"} passes over other members'),
}
REFUSED_LISTS = {
    "key-hides-only-id": ("string", {"keyField": "customer_id"}, dict, f"1 values: customer_id; {CHOOSE}"),
    "key-hides-only-id-beside-another": (
        "string",
        {"keyField": "customer_id"},
        lambda row: {**row, "label": "good"},
        "holds no row for this entity",
    ),
    "key-hides-part": ("composite", {"keyField": "number"}, dict, f"2 values: branch, number; {CHOOSE}"),
    "other-columns": ("int64", {}, table, f"1 values: customer_id; {CHOOSE}"),
    "other-columns-of-two": ("composite", {}, table, f"2 values: branch, number; {CHOOSE}"),
    "other-columns-of-many": ("demo", {}, table, f"4 values: customer_id, merchant_id, amount, channel; {CHOOSE}"),
    "order-of-parts": (
        "composite",
        {"includedFields": ["number", "branch"]},
        dict,
        "'number' must be a 64-bit integer",
    ),
    "order-of-fields": (
        "demo",
        {"includedFields": ["customer_id", "merchant_id", "channel", "amount"]},
        dict,
        "'amount' must be a finite number",
    ),
    "order-of-ids": (
        "demo",
        {"includedFields": ["merchant_id", "customer_id", "amount", "channel"]},
        dict,
        "holds no row for this entity",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("instances_format", ["jsonl", "bigquery"])
async def test_an_object_without_what_is_needed_is_refused_and_told_what_to_do(
    deploy: Deploy, vertex: Any, name: str, instances_format: str
) -> None:
    kind, config, make, said = REFUSED[name]
    container = await deploy(kind)
    source = vertex.jsonl(map(make, container.rows))
    job = await vertex.run(container.post, instances_format, source, **config, instanceType="object")
    assert [one["instances"] for one in job.errors] == [64, 23]
    assert all(said in one["error"].replace('\\"', '"') for one in job.errors)
    assert all("instance 0: " in one["error"] and '"index":0' in one["error"] for one in job.errors)
    assert job.lines == []


@pytest.mark.parametrize("name", REFUSED_LISTS)
@pytest.mark.parametrize("instances_format", ["csv", "bigquery"])
async def test_a_list_of_other_values_is_refused_and_told_what_to_do(
    deploy: Deploy, vertex: Any, name: str, instances_format: str
) -> None:
    kind, config, make, said = REFUSED_LISTS[name]
    container = await deploy(kind)
    write = vertex.csv if instances_format == "csv" else vertex.jsonl
    job = await vertex.run(container.post, instances_format, write([make(row) for row in container.rows]), **config)
    assert [one["instances"] for one in job.errors] == [64, 23]
    assert all(said in one["error"] and '"index":0' in one["error"] for one in job.errors)


@pytest.mark.parametrize("content", [b"C00017", b'["C00017", "M00042", 1.0, "online"]', b'{"customer_id": "C00017"}'])
@pytest.mark.parametrize("kind", ["composite", "demo"])
async def test_text_in_bytes_is_no_instance_where_one_text_cannot_be_one(
    deploy: Deploy, vertex: Any, kind: str, content: bytes
) -> None:
    container = await deploy(kind)
    job = await vertex.run(container.post, "file-list", vertex.files([content]))
    assert f"a tf.train.Example with {', '.join(list(container.rows[0]))}" in job.errors[0]["error"].replace('\\"', '"')


async def test_a_column_that_no_key_takes_is_refused_by_its_name(deploy: Deploy, vertex: Any) -> None:
    container = await deploy("string")
    for value in (None, ["C0001"], {"id": "C0001"}, True, 1001.5, 2.0**53, ""):
        source = vertex.jsonl([{"customer_id": value}])
        for config in ({}, {"instanceType": "object"}):
            job = await vertex.run(container.post, "bigquery", source, **config)
            assert "'customer_id' must" in job.errors[0]["error"]


async def test_csv_loses_rows_with_bare_text_before_the_container_sees_them(deploy: Deploy, vertex: Any) -> None:
    """The reason why the README prefers any other format: only the count of rows tells."""
    container = await deploy("string")
    job = await vertex.run(container.post, "csv", vertex.csv(container.rows, quoted=False))
    numbers = [row for row in container.rows if row["customer_id"].isdigit()]
    assert len(job.instances) == len(job.lines) == len(numbers) < len(container.rows)


async def test_a_csv_cell_that_lost_its_zeros_is_never_scored_as_the_id_that_had_them(
    deploy: Deploy, vertex: Any
) -> None:
    container = await deploy("string")
    source = vertex.csv([{"customer_id": "0001000"}], quoted=False)
    job = await vertex.run(container.post, "csv", source, {"response": "detailed"})
    assert [one["entity_id"] for one in job.predictions] == ["1000"]  # so a join by the ID finds none for 0001000
