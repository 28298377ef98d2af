"""Shuffled output can be joined back, and what the README says about jobs and lost rows holds to the letter."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

Row = dict[str, Any]
Deploy = Callable[[str], Awaitable[Any]]
PARAMETERS = {"response": "detailed", "on_error": "null"}
STRANGER = {"customer_id": "C99999", "merchant_id": "M99999", "amount": 5.0, "channel": "online"}
README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


def block(language: str, within: str) -> str:
    """The code block of the README's page on batch prediction that holds `within`."""
    page = README.partition("\n## Batch prediction on Vertex AI\n")[2].partition("\n## ")[0]
    (found,) = [one for one in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL) if within in one]
    return found


@pytest.mark.parametrize("instances_format", ["tf-record", "file-list"])
async def test_shuffled_answers_without_their_instances_are_joined_by_entity(
    deploy: Deploy, vertex: Any, forms: Any, instances_format: str
) -> None:
    container = await deploy("demo")
    rows = [*container.rows, STRANGER]
    examples = map(forms["example"], rows)
    source = vertex.records(examples) if instances_format == "tf-record" else vertex.files(examples)
    job = await vertex.run(container.post, instances_format, source, PARAMETERS)
    told = {container.entity(one["entity_id"]): one for one in job.predictions}
    assert list(told) != [container.entity(row) for row in rows]
    if instances_format == "tf-record":
        assert {tuple(line) for line in job.lines} == {("prediction",)}
    joined = [told[container.entity(row)] for row in rows]
    truth = await container.scores()
    assert [one["scores"] for one in joined[:-1]] == [truth[container.entity(row)] for row in container.rows]
    assert joined[-1]["error"]["status"] == 404


async def test_two_rows_of_one_entity_are_told_apart_by_a_key_field_of_ones_own(deploy: Deploy, vertex: Any) -> None:
    container = await deploy("demo")
    rows = [{**container.rows[0], "amount": float(at), "payment_id": f"P{at}"} for at in range(100)]
    config = {"keyField": "payment_id", "instanceType": "object"}
    for instances_format in ("jsonl", "bigquery"):
        job = await vertex.run(container.post, instances_format, vertex.jsonl(rows), PARAMETERS, **config)
        assert {tuple(line) for line in job.lines} == {("key", "prediction")}
        keys = [line["key"] for line in job.lines]
        told = {key: one["features"]["amount"]["value"] for key, one in zip(keys, job.predictions, strict=True)}
        assert told == {row["payment_id"]: row["amount"] for row in rows}


async def test_the_readmes_job_scores_rows_with_more_columns(deploy: Deploy, vertex: Any) -> None:
    sent = json.loads(block("json", '"instanceConfig"'))
    container = await deploy("demo")
    source = vertex.jsonl({"payment_id": at, **row, "tags": ["a"]} for at, row in enumerate(container.rows))
    job = await vertex.run(
        container.post,
        sent["inputConfig"]["instancesFormat"],
        source,
        sent["modelParameters"],
        **sent["instanceConfig"],
    )
    assert job.instances == container.rows
    told = {container.entity(one["entity_id"]): one["scores"] for one in job.predictions}
    assert told == await container.scores()


AS_GOOGLE_READS_IT = """
import json, sys
from google.cloud.aiplatform_v1.types import BatchPredictionJob
job = BatchPredictionJob.from_json(sys.stdin.read())
print(BatchPredictionJob.to_json(job, always_print_fields_with_no_presence=False))
"""


def test_the_readmes_job_is_one_that_googles_client_takes() -> None:
    sent = block("json", '"instanceConfig"')
    command = [sys.executable, "-W", "ignore", "-c", AS_GOOGLE_READS_IT]
    read = subprocess.run(command, input=sent, capture_output=True, text=True, check=True)  # noqa: S603  # our own program
    assert json.loads(read.stdout) == json.loads(sent)


def lost_rows(folder: Path, source: Path, results: list[Path]) -> subprocess.CompletedProcess[str]:
    script = folder / "lost_rows.py"
    script.write_text(block("python", "lost_rows.py"), encoding="utf-8")
    command = [sys.executable, str(script), str(source), *map(str, results)]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # the README's own


async def test_the_readmes_script_lists_rows_without_a_score(
    deploy: Deploy, vertex: Any, forms: Any, tmp_path: Path
) -> None:
    container = await deploy("demo")
    whole = await vertex.run(container.post, "jsonl", source := vertex.jsonl(container.rows), PARAMETERS)
    for path in (source, whole.files[0]):
        path.write_text(path.read_text() + "\n \n")  # blank lines are no rows
    good = lost_rows(tmp_path, source, whole.files)
    assert (good.returncode, good.stdout, good.stderr) == (0, "87 rows sent, 87 answered, 87 scored\n", "")
    lost = container.rows[5]
    rows = [*(row for row in container.rows if row is not lost), STRANGER]
    job = await vertex.run(container.post, "tf-record", vertex.records(map(forms["example"], rows)), PARAMETERS)
    found = lost_rows(tmp_path, vertex.jsonl([*container.rows, STRANGER]), job.files)
    first, *others = found.stdout.splitlines()
    assert (found.returncode, first) == (1, "88 rows sent, 87 answered, 86 scored")
    assert sorted(others) == [
        "error {'customer_id': 'C99999', 'merchant_id': 'M99999'} 'customer_account' holds no row for this entity",
        f"no score: {lost['customer_id']} {lost['merchant_id']}",
        "no score: C99999 M99999",
    ]


async def test_the_readmes_script_notices_a_job_without_any_output(deploy: Deploy, vertex: Any, tmp_path: Path) -> None:
    container = await deploy("demo")
    source = vertex.jsonl(container.rows)
    failed = await vertex.run(container.post, "jsonl", source, {"response": "in detail"})
    found = lost_rows(tmp_path, source, failed.files)
    assert found.returncode == 1
    assert found.stdout.startswith("87 rows sent, 0 answered, 0 scored\n")


async def test_the_readmes_query_lists_rows_without_a_score(deploy: Deploy, vertex: Any) -> None:
    """On SQLite, which reads BigQuery's quoted names and is taught its JSON_VALUE."""
    container = await deploy("demo")
    rows = [{"payment_id": at, **row} for at, row in enumerate([*container.rows, STRANGER])]
    config = {"instanceType": "object", "includedFields": list(container.rows[0])}
    job = await vertex.run(container.post, "bigquery", vertex.jsonl(rows[1:]), PARAMETERS, **config)
    query = block("sql", "JSON_VALUE")
    sent, told = re.findall("`(.*?)`", query)
    with sqlite3.connect(":memory:") as base:
        base.create_function("JSON_VALUE", 2, json_value)
        for name, table in ((sent, rows), (told, job.lines)):
            base.execute(f"CREATE TABLE `{name}` ({', '.join(table[0])})")
            marks = ", ".join("?" * len(table[0]))
            base.executemany(f"INSERT INTO `{name}` VALUES ({marks})", [tuple(row.values()) for row in table])  # noqa: S608  # names of ours
        found = base.execute(query).fetchall()
    assert len(job.lines) == 87
    assert [(row[0], row[-1]) for row in found] == [
        (0, None),
        (87, "'customer_account' holds no row for this entity"),
    ]


def json_value(text: str | None, path: str) -> Any:
    """BigQuery's: null for null, for a path that is not there, and for what is no scalar."""
    found = None if text is None else json.loads(text)
    for name, at in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        try:
            found = found[name or int(at)]
        except (KeyError, IndexError, TypeError):
            return None
    return found
