"""Every form in which Vertex AI's batch prediction hands a row on means the same entity and scores bit-identically."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

Row = dict[str, Any]
Deploy = Callable[[str], Awaitable[Any]]
KINDS = ("string", "int64", "composite", "demo")
ONE_KEY = ("string", "int64")
IGNORE = {"extra": "ignore"}


@dataclass(frozen=True)
class Variant:
    """One way to state a row in the input, and what reaches the container then.

    Attributes:
        instances_format: See `BatchPredictionJob.InputConfig`.
        write: Writes the input; is given the bucket, the rows in declared order, and `forms`.
        arrives: What the container is sent for a row.
        config: Makes `instanceConfig` of the names in declared order.
        parameters: What the job's `model_parameters` must hold beside the style.
        kinds: Bundles that can be asked so.
    """

    instances_format: str
    write: Callable[[Any, Sequence[Row], Any], Any]
    arrives: Callable[[Row, Any], Any]
    config: Callable[[list[str]], Row] = lambda _: {}
    parameters: Mapping[str, Any] = field(default_factory=dict)
    kinds: Sequence[str] = KINDS


def wide(row: Row, **more: Any) -> Row:
    """A row of a table that was not made for this, columns in another order."""
    return {"row_id": 7, **dict(reversed(row.items())), "loaded_at": "2026-11-22", "tags": ["a"], **more}


def flat(row: Row) -> Row:
    """The same for CSV, which has no lists."""
    return wide(row, tags="a, b")


def array(row: Row, _: Any) -> list[Any]:
    return list(row.values())


def floats(row: Row, _: Any) -> list[Any]:
    return [value if isinstance(value, str) else float(value) for value in row.values()]


def whole(row: Row, _: Any) -> Row:
    return row


def chosen(names: list[str]) -> Row:
    return {"includedFields": names}


def objects(row: Row, _: Any) -> Row:
    return wide(row)


def text(row: Row, forms: Any, end: str = "") -> Row:
    return forms["b64"](f"{next(iter(row.values()))}{end}".encode())


def packed(row: Row, forms: Any) -> Row:
    return forms["b64"](forms["example"](row))


def table(make: Callable[[Row], Row]) -> Callable[[Any, Sequence[Row], Any], Any]:
    return lambda bucket, rows, _: bucket.jsonl([make(row) for row in rows])


def sheet(make: Callable[[Row], Row]) -> Callable[[Any, Sequence[Row], Any], Any]:
    return lambda bucket, rows, _: bucket.csv([make(row) for row in rows])


HIDDEN = ["row_id", "loaded_at", "tags"]
VARIANTS = {
    "jsonl-object": Variant("jsonl", table(dict), whole),
    "jsonl-object-extra": Variant("jsonl", table(wide), objects, parameters=IGNORE),
    "jsonl-object-included": Variant(
        "jsonl", table(wide), whole, lambda names: {"instanceType": "object", **chosen(names)}
    ),
    "jsonl-object-excluded": Variant("jsonl", table(wide), whole, lambda _: {"excludedFields": HIDDEN}),
    "jsonl-object-key": Variant(
        "jsonl",
        table(wide),
        lambda row, _: {name: value for name, value in wide(row).items() if name != "row_id"},
        lambda _: {"keyField": "row_id"},
        IGNORE,
    ),
    "jsonl-array": Variant("jsonl", lambda bucket, rows, _: bucket.jsonl(list(row.values()) for row in rows), array),
    "jsonl-type-array": Variant("jsonl", table(wide), array, lambda names: {"instanceType": "array", **chosen(names)}),
    "jsonl-value": Variant(
        "jsonl",
        lambda bucket, rows, _: bucket.jsonl(*zip(*map(dict.values, rows), strict=True)),
        lambda row, _: next(iter(row.values())),
        kinds=ONE_KEY,
    ),
    "jsonl-b64-text": Variant(
        "jsonl", lambda bucket, rows, forms: bucket.jsonl(text(row, forms) for row in rows), text, kinds=ONE_KEY
    ),
    "jsonl-b64-example": Variant(
        "jsonl", lambda bucket, rows, forms: bucket.jsonl(packed(row, forms) for row in rows), packed
    ),
    "csv": Variant("csv", sheet(dict), floats),
    "csv-included": Variant("csv", sheet(flat), floats, chosen),
    "csv-key": Variant("csv", sheet(lambda row: {**row, "row_id": 7}), floats, lambda _: {"keyField": "row_id"}),
    "bigquery": Variant("bigquery", table(dict), array),
    "bigquery-included": Variant("bigquery", table(wide), array, chosen),
    "bigquery-excluded": Variant(
        "bigquery",
        table(lambda row: {"row_id": 7, **row, "tags": []}),
        array,
        lambda _: {"excludedFields": ["row_id", "tags"]},
    ),
    "bigquery-key": Variant(
        "bigquery", table(lambda row: {**row, "row_id": 7}), array, lambda _: {"keyField": "row_id"}
    ),
    "bigquery-object": Variant("bigquery", table(dict), whole, lambda _: {"instanceType": "object"}),
    "bigquery-object-extra": Variant("bigquery", table(wide), objects, lambda _: {"instanceType": "object"}, IGNORE),
    "bigquery-object-included": Variant(
        "bigquery", table(wide), whole, lambda names: {"instanceType": "object", **chosen(names)}
    ),
    "bigquery-object-excluded": Variant(
        "bigquery", table(wide), whole, lambda _: {"instanceType": "object", "excludedFields": HIDDEN}
    ),
    "bigquery-object-key": Variant(
        "bigquery",
        table(lambda row: {"row_id": 7, **row}),
        whole,
        lambda _: {"instanceType": "object", "keyField": "row_id"},
    ),
    "file-list-text": Variant(
        "file-list",
        lambda bucket, rows, _: bucket.files(str(*row.values()).encode() for row in rows),
        text,
        kinds=ONE_KEY,
    ),
    "file-list-line": Variant(
        "file-list",
        lambda bucket, rows, _: bucket.files(f"{str(*row.values())}\n".encode() for row in rows),
        lambda row, forms: text(row, forms, "\n"),
        kinds=ONE_KEY,
    ),
    "file-list-example": Variant(
        "file-list", lambda bucket, rows, forms: bucket.files(map(forms["example"], rows)), packed
    ),
    "tf-record": Variant("tf-record", lambda bucket, rows, forms: bucket.records(map(forms["example"], rows)), packed),
    "tf-record-gzip": Variant(
        "tf-record-gzip",
        lambda bucket, rows, forms: bucket.records(map(forms["example"], rows), gzipped=True),
        packed,
    ),
    "tf-record-text": Variant(
        "tf-record",
        lambda bucket, rows, _: bucket.records(str(*row.values()).encode() for row in rows),
        text,
        kinds=ONE_KEY,
    ),
}
CASES = [(name, kind) for name, variant in VARIANTS.items() for kind in variant.kinds]


@pytest.mark.parametrize(("name", "kind"), CASES, ids=[f"{name}-{kind}" for name, kind in CASES])
async def test_a_row_reaches_the_container_as_vertex_makes_it_and_scores_as_a_plain_object(
    deploy: Deploy, vertex: Any, forms: Any, name: str, kind: str
) -> None:
    variant, container = VARIANTS[name], await deploy(kind)
    config = variant.config(list(container.rows[0]))
    source = variant.write(vertex, container.rows, forms)

    async def run(**parameters: Any) -> Any:
        return await vertex.run(container.post, variant.instances_format, source, parameters, **config)

    in_detail = await run(response="detailed", **variant.parameters)
    simple = await run(**variant.parameters)
    for job in (in_detail, simple):
        assert job.errors == []
        assert [len(body["instances"]) for body in job.bodies] == [64, 23]
        assert exactly(job.instances) == exactly([variant.arrives(row, forms) for row in container.rows])
    told = {container.entity(one["entity_id"]): one["scores"] for one in in_detail.predictions}
    assert told == await container.scores()
    assert simple.predictions == [one["scores"] for one in in_detail.predictions]  # shuffled alike


def exactly(instances: list[Any]) -> str:
    """As JSON, where 1 is not 1.0."""
    return json.dumps(instances, sort_keys=True)


@pytest.mark.parametrize("instances_format", ["jsonl", "csv"])
@pytest.mark.parametrize("kind", ONE_KEY)
async def test_whole_numbers_that_arrive_as_floats_are_the_same_keys(
    deploy: Deploy, vertex: Any, kind: str, instances_format: str
) -> None:
    """JSON rewriters make 1001.0 of 1001, and so does CSV of an ID without quotes."""
    container = await deploy(kind)
    numbers = [row for row in container.rows if str(row["customer_id"]).isdigit()]
    if instances_format == "csv":
        source = vertex.csv(numbers, quoted=False)
    else:
        source = vertex.jsonl({"customer_id": float(row["customer_id"])} for row in numbers)
    job = await vertex.run(container.post, instances_format, source, {"response": "detailed"})
    assert {type(next(iter(one.values()) if isinstance(one, dict) else iter(one))) for one in job.instances} == {float}
    told = {container.entity(one["entity_id"]): one["scores"] for one in job.predictions}
    truth = await container.scores()
    assert told == {container.entity(row): truth[container.entity(row)] for row in numbers}
    assert len(told) >= 40


async def test_the_replayer_sends_what_jobs_with_an_echo_container_have_printed(vertex: Any, forms: Any) -> None:
    async def echo(body: Row) -> httpx.Response:
        return httpx.Response(200, json={"predictions": body["instances"]})

    async def instances(instances_format: str, source: Any) -> list[Any]:
        return list((await vertex.run(echo, instances_format, source)).instances)

    values = [1, 1.24578001, "a", {"key": "value"}, [1, 2, 3, 4], [[1, 2], [3, 4]], {"b64": "c29t"}]
    assert exactly(await instances("jsonl", vertex.jsonl(values))) == exactly(values)
    sheet = vertex.csv([{"value": one} for one in ("1", "1.24578001", "a")], quoted=False)
    job = await vertex.run(echo, "csv", sheet)
    assert exactly(job.instances) == "[[1.0], [1.24578001]]"
    assert [one["instances"] for one in job.errors] == [1]
    assert await instances("bigquery", vertex.jsonl([{"value": "1"}])) == [["1"]]
    assert await instances("file-list", vertex.files([b"1", b"A", b"[1]"])) == [
        {"b64": "MQ=="},
        {"b64": "QQ=="},
        {"b64": "WzFd"},
    ]
    assert await instances("tf-record", vertex.records([forms["example"]({"value": "3"})])) == [
        {"b64": "ChAKDgoFdmFsdWUSBQoDCgEz"}
    ]
