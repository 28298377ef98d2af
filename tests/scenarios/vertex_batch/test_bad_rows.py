"""A row that cannot be scored leaves its 63 neighbours alone, if the job says so."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

Row = dict[str, Any]
Deploy = Callable[..., Awaitable[Any]]
KINDS = ("string", "int64", "composite", "demo")
BAD = {3: {"customer_id": None}, 40: {}, 63: 7.5, 64: [], 86: {"b64": "?"}, 70: {"nothing": "known"}}
"""By position: three in the first request, three in the second, at the ends of both."""

STRANGERS: dict[str, Row] = {
    "string": {"customer_id": "nobody"},
    "int64": {"customer_id": -1},
    "composite": {"branch": "nowhere", "number": 1},
    "demo": {"customer_id": "C99999", "merchant_id": "M99999", "amount": 5.0, "channel": "online"},
}


def with_bad_rows(container: Any, kind: str) -> list[Any]:
    """The container's rows, seven of which are replaced; the last of those is understood, but unknown."""
    return [BAD.get(at, STRANGERS[kind] if at == 50 else row) for at, row in enumerate(container.rows)]


@pytest.mark.parametrize("kind", KINDS)
async def test_without_being_asked_a_bad_row_costs_its_whole_request(deploy: Deploy, vertex: Any, kind: str) -> None:
    container = await deploy(kind)
    rows = [BAD[3] if at == 3 else row for at, row in enumerate(container.rows)]
    job = await vertex.run(container.post, "jsonl", vertex.jsonl(rows))
    assert [(one["instances"], "instance 3: " in one["error"]) for one in job.errors] == [(64, True)]
    assert [line["instance"] for line in job.lines] == rows[64:]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_bad_row_answers_null_in_its_place(deploy: Deploy, vertex: Any, kind: str) -> None:
    container = await deploy(kind)
    rows, truth = with_bad_rows(container, kind), await container.scores()
    job = await vertex.run(container.post, "jsonl", vertex.jsonl(rows), {"on_error": "null"})
    assert job.errors == []
    assert [line["instance"] for line in job.lines] == rows
    expected = [None if at in BAD or at == 50 else truth[container.entity(row)] for at, row in enumerate(rows)]
    assert job.predictions == expected


@pytest.mark.parametrize("kind", KINDS)
async def test_in_detail_an_error_object_with_its_entity_stands_in_its_place(
    deploy: Deploy, vertex: Any, kind: str
) -> None:
    container = await deploy(kind)
    rows, truth = with_bad_rows(container, kind), await container.scores()
    parameters = {"on_error": "null", "response": "detailed", "timeout_ms": 10_000, "max_cached_s": 3600}
    job = await vertex.run(container.post, "jsonl", vertex.jsonl(rows), parameters)
    assert job.errors == []
    for at, (row, told) in enumerate(zip(rows, job.predictions, strict=True)):
        if at not in BAD and at != 50:
            assert told["scores"] == truth[container.entity(row)]
            continue
        assert set(told) == {"entity_id", "error"}
        assert told["error"]["index"] == at % 64
        if at == 50:
            assert told["error"]["status"] == 404
            assert container.entity(told["entity_id"]) == container.entity(row)
        else:
            assert told["error"]["status"] == 422
            assert told["entity_id"] is None


async def test_a_row_with_a_bad_value_still_tells_whose_it_is(deploy: Deploy, vertex: Any, forms: Any) -> None:
    """TFRecord output shows no instance, so nothing else would tell."""
    container = await deploy("demo")
    rows = [{**row, "amount": -1.0} if at in (3, 70) else row for at, row in enumerate(container.rows)]
    parameters = {"on_error": "null", "response": "detailed"}
    for instances_format, source in (
        ("tf-record", vertex.records(map(forms["example"], rows))),
        ("bigquery", vertex.jsonl(rows)),
    ):
        job = await vertex.run(container.post, instances_format, source, parameters)
        failed = {container.entity(one["entity_id"]) for one in job.predictions if "error" in one}
        assert failed == {container.entity(rows[3]), container.entity(rows[70])}


async def test_null_itself_is_not_the_text_null(deploy: Deploy, vertex: Any) -> None:
    container = await deploy("string")
    job = await vertex.run(container.post, "jsonl", vertex.jsonl(container.rows), {"on_error": None})
    assert [one["instances"] for one in job.errors] == [64, 23]
    assert all("'on_error': Input should be 'fail' or 'null', a text in quotes" in one["error"] for one in job.errors)


async def test_a_job_without_parameters_or_with_none_is_answered(deploy: Deploy, vertex: Any) -> None:
    container = await deploy("string")
    source = vertex.jsonl(container.rows)
    without = await vertex.run(container.post, "jsonl", source)
    assert "parameters" not in without.bodies[0]
    for parameters in ({}, None):
        answer = await container.post({**without.bodies[1], "parameters": parameters})
        assert answer.json()["predictions"] == without.predictions[64:]


async def test_where_parameters_do_not_arrive_those_of_the_container_hold(deploy: Deploy, vertex: Any) -> None:
    container = await deploy("demo", parameters='{"on_error": "null", "response": "detailed", "extra": "ignore"}')
    rows = [{**row, "amount": None if at == 3 else row["amount"], "tag": 1} for at, row in enumerate(container.rows)]
    source = vertex.jsonl(rows)
    job = await vertex.run(container.post, "jsonl", source)
    assert "parameters" not in job.bodies[0]
    assert job.errors == []
    assert [at for at, one in enumerate(job.predictions) if "error" in one] == [3]
    simple = await vertex.run(container.post, "jsonl", source, {"response": "simple"})
    assert simple.predictions == [one.get("scores") for one in job.predictions]
    strict = await vertex.run(container.post, "jsonl", source, {"on_error": "fail"})
    assert [one["instances"] for one in strict.errors] == [64]
