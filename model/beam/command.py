"""`python -m model.beam`: predictions for files or a BigQuery table, on any of Beam's runners."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from features.errors import FeaturesError
from features.stores.base import ReadMode
from model.beam.connecting import SqliteAddress, StoreAddress, VertexAddress
from model.beam.contract import BundleContract
from model.beam.enrichment import BATCH_SIZE, Demands
from model.beam.inputs import InputFormat, InputUnclear, ReadInstances
from model.beam.outputs import OutputTaken, check_free, write
from model.beam.prediction import OnError, Predict
from model.bundle import SingleView, load_transforms
from model.errors import ModelError

_REFUSED: Final = 2
_SOME_FAILED: Final = 3
_STORES: Final = ("sqlite", "vertex")
_TRUE: Final = frozenset({"1", "true", "yes", "on", "y", "t"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a pipeline; returns 0 if every instance was scored, 3 if some were not, 2 if it could not begin.

    Args:
        arguments: Flags; those that are not known here are Beam's own.
    """
    parser = _parser()
    chosen, for_beam = parser.parse_known_args(arguments)
    if chosen.store not in _STORES:  # argparse asks this of flags, not of defaults
        parser.error(f"KEYSCORE_STORE is {chosen.store!r}; it may be {' or '.join(_STORES)}")
    if chosen.store == "vertex" and chosen.vertex_plaintext and chosen.vertex_endpoint is None:
        parser.error("--vertex-plaintext is for an emulator: name it in --vertex-endpoint")
    try:
        pipeline = pipeline_of(chosen, PipelineOptions(for_beam))
    except (ModelError, FeaturesError, InputUnclear, OutputTaken, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return _REFUSED
    result = pipeline.run()
    result.wait_until_finish()
    counted = counts_of(result)
    sys.stderr.write(", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counted.items()) + "\n")
    return _SOME_FAILED if counted["failed"] else 0


def pipeline_of(chosen: argparse.Namespace, options: PipelineOptions) -> beam.Pipeline:
    """The pipeline that the flags ask for; reads the bundle, and asks whether the output is free.

    Raises:
        ModelError: The bundle cannot be used.
        FeaturesError: Likewise.
        InputUnclear: The input's name does not tell its format.
        OutputTaken: There is something at the output's address.
        OSError: There is nothing at the input's.
        ValueError: Beam cannot make sense of a table's name.
    """
    single = SingleView(chosen.view, tuple(chosen.key or ["entity_id"])) if chosen.view else None
    contract = BundleContract.of(chosen.bundle, single, load_transforms(chosen.transforms))
    check_free(chosen.output)
    demands = Demands(
        batch_size=chosen.batch_size,
        ignore_extra=chosen.extra == "ignore",
        max_age_s=chosen.max_age_s,
        max_reads_per_s=chosen.max_reads_per_s,
    )
    input_format = InputFormat(chosen.format) if chosen.format else None
    read = ReadInstances(chosen.input, contract.spec, input_format)
    pipeline = beam.Pipeline(options=options)
    predict = Predict(contract, _store(chosen), demands, OnError(chosen.on_error))
    write(chosen.output, pipeline | "Input" >> read | "Predict" >> predict)
    return pipeline


def counts_of(result: Any) -> dict[str, int]:
    """The counters of a pipeline that has run, all its workers together."""
    counters = result.metrics().query(beam.metrics.MetricsFilter().with_namespace("keyscore"))["counters"]
    found = dict.fromkeys(("instances", "failed", "defaulted", "reads", "keys_read"), 0)
    for one in counters:
        found[one.key.metric.name] = found.get(one.key.metric.name, 0) + one.result
    return found


def _store(chosen: argparse.Namespace) -> StoreAddress:
    if chosen.store == "sqlite":
        return SqliteAddress(Path(chosen.sqlite_path))
    return VertexAddress(
        chosen.vertex_endpoint, chosen.vertex_rest_endpoint, chosen.vertex_plaintext, ReadMode(chosen.vertex_read)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model.beam",
        description="Predictions for files or a BigQuery table, on Apache Beam. Other flags than these are Beam's own "
        "(--runner, --project, --region, --temp_location, …).",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--input",
        required=True,
        help="file or pattern, local or gs://; bigquery:project.dataset.table; bigquery:SELECT …",
    )
    add("--output", required=True, help="what the files' names begin with; bigquery:project.dataset.table")
    add("--format", choices=[*InputFormat], help="what the input is written in; by its name if not given")
    add(
        "--on-error",
        choices=[*OnError],
        default=OnError.SKIP.value,
        help="instances that cannot be scored: %(default)s",
    )
    add("--extra", choices=["refuse", "ignore"], default="refuse", help="undeclared columns: %(default)s")
    add("--max-age-s", type=_positive, help="how old a feature may be by its event time")
    add("--max-reads-per-s", type=_positive, help="keys to read per second and worker process")
    add("--batch-size", type=int, default=BATCH_SIZE, help="instances read for together: %(default)s")
    add("--bundle", default=os.environ.get("KEYSCORE_BUNDLE", "var/demo"), help="directory or gs:// URI: %(default)s")
    add("--view", default=os.environ.get("KEYSCORE_VIEW"), help="the one view of a bundle without a serving.yaml")
    add("--key", action="append", help="name of a key column of that view; may be repeated")
    add("--transforms", default=os.environ.get("KEYSCORE_TRANSFORMS"), help="module with further functions for derive")
    add("--store", choices=_STORES, default=os.environ.get("KEYSCORE_STORE") or "sqlite")
    add("--sqlite-path", default=os.environ.get("KEYSCORE_SQLITE_PATH", "var/features.sqlite"))
    add("--vertex-endpoint", default=os.environ.get("KEYSCORE_VERTEX_ENDPOINT"), help="host:port, an emulator's")
    add(
        "--vertex-rest-endpoint",
        default=os.environ.get("KEYSCORE_VERTEX_REST_ENDPOINT"),
        help="same, for looking views up",
    )
    add(
        "--vertex-plaintext",
        action="store_true",
        default=os.environ.get("KEYSCORE_VERTEX_PLAINTEXT", "").lower() in _TRUE,
        help="no TLS and no credentials, for an emulator",
    )
    add(
        "--vertex-read",
        choices=[*ReadMode],
        default=os.environ.get("KEYSCORE_VERTEX_READ", ReadMode.AUTO.value),
        help="how to read several keys: %(default)s",
    )
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0")
    return number
