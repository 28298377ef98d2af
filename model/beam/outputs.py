"""Predictions and dead letters into JSON lines or BigQuery."""

import base64
import json
from datetime import date, datetime, time
from typing import Any, Final

import apache_beam as beam
import orjson
from apache_beam.coders import BytesCoder
from apache_beam.io import BigQueryDisposition, WriteToBigQuery, WriteToText
from apache_beam.io.filesystems import FileSystems

from model.beam.inputs import BIGQUERY

ERRORS: Final = ".errors"
"""Between an output's name and the number of a file of dead letters; a table's is called `…_errors`."""


class OutputTaken(Exception):
    """There is something at the output's address already; the message says what to do."""


class WriteJson(beam.PTransform):
    """Objects as JSON lines, in as many files as the runner likes: `<prefix>-00000-of-00003.jsonl`."""

    def __init__(self, prefix: str) -> None:
        """Writes nothing yet; the address may be local or `gs://`."""
        super().__init__()
        self._prefix = prefix

    def expand(self, rows: Any) -> Any:
        """See `PTransform.expand`."""
        return (
            rows
            | "As lines" >> beam.Map(as_line)
            | "Write" >> WriteToText(self._prefix, file_name_suffix=".jsonl", coder=BytesCoder())
        )


class WriteTable(beam.PTransform):
    """Objects into a new BigQuery table, one column of JSON text for each member, as Vertex AI writes predictions."""

    def __init__(self, table: str, members: tuple[str, ...]) -> None:
        """Writes nothing yet.

        Args:
            table: `project.dataset.table`; it is made, and must not hold rows.
            members: Names of the members.
        """
        super().__init__()
        self._table = table
        self._members = members

    def expand(self, rows: Any) -> Any:
        """See `PTransform.expand`."""
        schema = ",".join(f"{name}:STRING" for name in self._members)
        return (
            rows
            | "As text" >> beam.Map(as_texts)
            | "Write"
            >> WriteToBigQuery(
                table=self._table,
                schema=schema,
                create_disposition=BigQueryDisposition.CREATE_IF_NEEDED,
                write_disposition=BigQueryDisposition.WRITE_EMPTY,
            )
        )


def write(address: str, outputs: dict[str, Any]) -> None:
    """Adds what writes predictions and failures to the pipeline.

    Args:
        address: What the names of the files begin with, or `bigquery:` and a table.
        outputs: What `model.beam.prediction.Predict` gives.
    """
    predictions, failures = outputs["predictions"], outputs["failures"]
    if address.startswith(BIGQUERY):
        table = address.removeprefix(BIGQUERY).strip()
        predictions | "Predictions" >> WriteTable(table, ("instance", "prediction"))
        failures | "Failures" >> WriteTable(f"{table}_errors", ("instance", "error"))
    else:
        predictions | "Predictions" >> WriteJson(address)
        failures | "Failures" >> WriteJson(address + ERRORS)


def check_free(address: str) -> None:
    """Returns if nothing has been written to these files before; two runs must not be taken for one.

    Raises:
        OutputTaken: Something has.
    """
    if address.startswith(BIGQUERY):  # BigQuery itself refuses a table with rows
        return
    patterns = [f"{address}-*-of-*.jsonl", f"{address}{ERRORS}-*-of-*.jsonl"]
    found = [file.path for match in FileSystems.match(patterns) for file in match.metadata_list]
    if found:
        raise OutputTaken(f"{found[0]} is there already: name another --output, or remove it")


def as_line(row: dict[str, Any]) -> bytes:
    """The row as a line of JSON."""
    return orjson.dumps(row, default=_told)


def as_texts(row: dict[str, Any]) -> dict[str, str]:
    """Each member as JSON text."""
    return {name: json.dumps(value, default=_told, ensure_ascii=False) for name, value in row.items()}


def _told(value: object) -> object:
    """What JSON does not know: moments as RFC 3339 spells them, bytes as base64, anything else as its text."""
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return {"b64": base64.b64encode(value).decode()}
    return str(value)
