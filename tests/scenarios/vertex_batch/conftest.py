"""Vertex AI's side of batch prediction: input files in, requests of 64 instances out, result files back.

What a row of each input format becomes is what jobs with an echo container have printed, and for `instanceConfig` what
`google/cloud/aiplatform_v1/types/batch_prediction_job.py` says.
"""

import base64
import csv
import gzip
import json
import random
import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from google.protobuf import json_format, struct_pb2

from features.tf_example import Example

BATCH_SIZE = 64
"""`manualBatchTuningParameters.batchSize`, as shipped."""

_SHARDS = {"jsonl": 1, "csv": 2, "bigquery": 1, "file-list": 4, "tf-record": 2, "tf-record-gzip": 2}

Row = dict[str, Any]


class Sent(NamedTuple):
    """One row of the input: what the container is sent, and what the output says beside its prediction."""

    instance: Any
    shown: Row


@dataclass
class Done:
    """A job that has ended, well or not: Vertex AI says SUCCEEDED either way.

    Attributes:
        bodies: The requests that the container got.
        folder: Where its files are.
        lines: What all result files hold.
        errors: What the errors file holds; it is there even if it is empty.
    """

    folder: Path
    bodies: list[Row] = field(default_factory=list)
    errors: list[Row] = field(default_factory=list)

    @property
    def instances(self) -> list[Any]:
        return [instance for body in self.bodies for instance in body["instances"]]

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("prediction.results-*"))

    @property
    def lines(self) -> list[Row]:
        return [json.loads(line) for file in self.files for line in file.read_text().splitlines()]

    @property
    def predictions(self) -> list[Any]:
        told = [line["prediction"] for line in self.lines]
        return [json.loads(one) if isinstance(one, str) else one for one in told]


class VertexBatch:
    """Writes input files of every format and runs jobs on them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self, name: str) -> Path:
        return self._folder / f"{len(list(self._folder.iterdir()))}-{name}"

    def jsonl(self, values: Iterable[Any]) -> Path:
        """One JSON value a line; also stands for a BigQuery table, whose rows are objects of column to value."""
        path = self.new("input.jsonl")
        path.write_text("".join(f"{json.dumps(value)}\n" for value in values), encoding="utf-8")
        return path

    def csv(self, rows: Sequence[Row], *, quoted: bool = True) -> Path:
        """A header and rows; texts in double quotes, unless it is written as most programs do."""
        path = self.new("input.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), quoting=csv.QUOTE_NONNUMERIC if quoted else csv.QUOTE_MINIMAL)
            writer.writeheader()
            writer.writerows(rows)
        return path

    def files(self, contents: Iterable[bytes]) -> Path:
        """A list of URIs; the files themselves lie beside it."""
        folder = self.new("files")
        folder.mkdir()
        listed = self.new("list.txt")
        with listed.open("w", encoding="utf-8") as uris:
            for at, content in enumerate(contents):
                (folder / f"instance_{at}").write_bytes(content)
                uris.write(f"{folder}/instance_{at}\n")
        return listed

    def records(self, records: Iterable[bytes], *, gzipped: bool = False) -> Path:
        """A TFRecord file: length, checksum, data, checksum; no container ever sees the checksums, so these are 0."""
        path = self.new("input.tfrecord")
        data = b"".join(struct.pack("<QI", len(one), 0) + one + struct.pack("<I", 0) for one in records)
        path.write_bytes(gzip.compress(data) if gzipped else data)
        return path

    async def run(
        self,
        post: Callable[[Row], Awaitable[httpx.Response]],
        instances_format: str,
        source: Path,
        model_parameters: Any = None,
        **instance_config: Any,
    ) -> Done:
        """Runs a `BatchPredictionJob`; `post` sends a body to the container's predict route."""
        job = Done(self.new("prediction"))
        job.folder.mkdir()
        rows = list(_READERS[instances_format](source, instance_config, job.errors))
        lines = []
        for start in range(0, len(rows), BATCH_SIZE):
            chunk = rows[start : start + BATCH_SIZE]
            body = {"instances": [row.instance for row in chunk]}
            if model_parameters is not None:
                body["parameters"] = as_protobuf_value(model_parameters)
            job.bodies.append(body)
            answer = await post(body)
            if answer.status_code != 200:
                said = f"Exceeded retries: Non-OK result {answer.status_code} ({answer.text}) from server"
                job.errors.append({"error": said, "instances": len(chunk)})
                continue
            predictions = answer.json()["predictions"]
            assert len(predictions) == len(chunk)
            lines += [{**row.shown, "prediction": one} for row, one in zip(chunk, predictions, strict=True)]
        if instances_format == "bigquery":  # a column of JSON text
            lines = [{**line, "prediction": json.dumps(line["prediction"])} for line in lines]
        shards = _SHARDS[instances_format]
        if shards > 1 or instances_format == "bigquery":
            random.Random(7).shuffle(lines)  # noqa: S311  # out of order, and alike in every run
        for at in range(shards):
            _write(job.folder / f"prediction.results-{at:05}-of-{shards:05}", lines[at::shards])
        _write(job.folder / "prediction.errors_stats-00000-of-00001", job.errors)
        return job


def as_protobuf_value(value: Any) -> Any:
    """What comes out of a job's `model_parameters`, a `google.protobuf.Value`: all numbers are floats."""
    return json_format.MessageToDict(json_format.ParseDict(value, struct_pb2.Value()))


def _write(path: Path, lines: Iterable[Row]) -> None:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def _read_jsonl(path: Path, config: Mapping[str, Any], _: list[Row]) -> Iterator[Sent]:
    for line in path.read_text(encoding="utf-8").splitlines():
        value = json.loads(line)
        yield _configured(value, config, "object") if config else Sent(value, {"instance": value})


def _read_csv(path: Path, config: Mapping[str, Any], errors: list[Row]) -> Iterator[Sent]:
    """Quoted cells are texts and others floats; a row with anything else is dropped, and the job goes on."""
    with path.open(encoding="utf-8", newline="") as file:
        names = next(csv.reader(file))
        rows = csv.reader(file, quoting=csv.QUOTE_NONNUMERIC)
        while True:
            try:
                cells = next(rows)
            except StopIteration:
                return
            except ValueError:
                errors.append({"error": "not a number", "instances": 1})
            else:
                yield _configured(dict(zip(names, cells, strict=True)), {**config, "instanceType": "array"}, "array")


def _read_bigquery(path: Path, config: Mapping[str, Any], _: list[Row]) -> Iterator[Sent]:
    """Excluded columns are in the output all the same."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        instance, shown = _configured(row, config, "array")
        yield Sent(instance, shown if "keyField" in config else row)


def _read_file_list(path: Path, config: Mapping[str, Any], _: list[Row]) -> Iterator[Sent]:
    assert not config
    for uri in path.read_text(encoding="utf-8").splitlines():
        yield Sent(b64(Path(uri).read_bytes()), {"instance": f"gs:/{uri}"})


def _read_records(path: Path, config: Mapping[str, Any], _: list[Row], *, gzipped: bool = False) -> Iterator[Sent]:
    """The output has no `instance`."""
    assert not config
    data = gzip.decompress(path.read_bytes()) if gzipped else path.read_bytes()
    while data:
        (size,) = struct.unpack_from("<Q", data)
        yield Sent(b64(data[12 : 12 + size]), {})
        data = data[16 + size :]


_READERS: Mapping[str, Callable[[Path, Mapping[str, Any], list[Row]], Iterator[Sent]]] = {
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "bigquery": _read_bigquery,
    "file-list": _read_file_list,
    "tf-record": _read_records,
    "tf-record-gzip": partial(_read_records, gzipped=True),
}


def _configured(row: Row, config: Mapping[str, Any], usual: str) -> Sent:
    """What `instanceConfig` makes of a row: chosen fields in its order, less those that are excluded and the key."""
    hidden = {*config.get("excludedFields", ()), config.get("keyField")}
    chosen = {name: row[name] for name in config.get("includedFields", row) if name not in hidden}
    instance = list(chosen.values()) if config.get("instanceType", usual) == "array" else chosen
    if "keyField" in config:
        return Sent(instance, {"key": row[config["keyField"]]})
    return Sent(instance, {"instance": instance, **{name: row[name] for name in config.get("excludedFields", ())}})


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def example(row: Row) -> bytes:
    """A serialized tf.train.Example."""
    made = Example()
    for name, value in row.items():
        kind = {str: "bytes_list", int: "int64_list", float: "float_list"}[type(value)]
        getattr(made.features.feature[name], kind).value.append(value.encode() if isinstance(value, str) else value)
    data: bytes = made.SerializeToString(deterministic=True)
    return data


@pytest.fixture
def vertex(tmp_path: Path) -> VertexBatch:
    folder = tmp_path / "bucket"
    folder.mkdir()
    return VertexBatch(folder)


@pytest.fixture
def forms() -> dict[str, Callable[[Any], Any]]:
    """How a row of the input, or a part of it, may be written: `b64` of bytes, `example` of an object."""
    return {"b64": b64, "example": example}
