"""Pipelines on Beam's DirectRunner; `make test` runs these tests in .venv-beam, the one place that has Beam."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pytest

from features.clock import Clock
from features.events import Observer
from features.spec import FeatureView
from features.stores.memory import MemoryStore
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.values import DType

HAS_BEAM = find_spec("apache_beam") is not None
collect_ignore_glob = [] if HAS_BEAM else ["test_*.py"]

VIEWS = {
    "account": ("customer_id", {"balance": DType.FLOAT, "city": DType.STRING}),
    "activity": ("customer_id", {"visits": DType.INT}),
    "risk": ("merchant_id", {"rate": DType.FLOAT}),
}
ROWS: dict[str, dict[str, dict[str, Any]]] = {
    "account": {"C1": {"balance": 80.0, "city": "a"}, "C2": {"balance": 20.0, "city": "b"}, "C3": {"balance": None}},
    "activity": {"C1": {"visits": 7}, "C2": {"visits": 60}},
    "risk": {"M1": {"rate": 33.0}},
}


@dataclass(frozen=True)
class MemoryAddress:
    """Reaches the store of this process that `store` holds; its own pickle holds none."""

    store: ClassVar[MemoryStore]

    def connect(self, views: Sequence[FeatureView], clock: Clock, observer: Observer) -> MemoryStore:  # noqa: ARG002  # a fake
        return self.store


@pytest.fixture
def memory() -> MemoryStore:
    """The shop's rows, in this process; what `MemoryAddress` reaches."""
    MemoryAddress.store = MemoryStore()
    for view, rows in ROWS.items():
        for key, values in rows.items():
            MemoryAddress.store.put(view, key, values, 1_700_000_000.0)
    return MemoryAddress.store


@pytest.fixture
def memory_address(memory: MemoryStore) -> MemoryAddress:  # noqa: ARG001  # it has to be there
    return MemoryAddress()


@pytest.fixture
def shop_store(tmp_path: Path) -> Path:
    """The shop's rows in an embedded store."""
    path = tmp_path / "shop.sqlite"
    with SqliteWriter(path) as writer:
        for view, (key, columns) in VIEWS.items():
            rows = [StoredRow(one, values, 1_700_000_000.0) for one, values in ROWS[view].items()]
            writer.replace_view(view, (key,), columns, rows)
    return path


@dataclass(frozen=True)
class Ran:
    """What a pipeline wrote, in no order, and what it counted."""

    predictions: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    counts: dict[str, int]


@pytest.fixture
def predicted(tmp_path: Path) -> Callable[..., Ran]:
    """`predicted(elements, predict)`: what `predict` makes of the elements on the DirectRunner."""
    import apache_beam as beam  # noqa: PLC0415  # not everywhere
    from apache_beam.options.pipeline_options import PipelineOptions  # noqa: PLC0415

    from model.beam.command import counts_of  # noqa: PLC0415
    from model.beam.outputs import write  # noqa: PLC0415

    def run(elements: Sequence[Any], predict: Any) -> Ran:
        pipeline = beam.Pipeline(options=PipelineOptions(DIRECT))
        write(str(tmp_path / "out"), pipeline | beam.Create(list(elements)) | predict)
        result = pipeline.run()
        result.wait_until_finish()
        return Ran(lines_of(tmp_path, "out-"), lines_of(tmp_path, "out.errors-"), counts_of(result))

    return run


DIRECT = ["--runner=DirectRunner", "--allow_unsafe_triggers"]
"""The second flag keeps the DirectRunner from looking for Prism, a Go program that Beam fetches from the internet."""


def lines_of(folder: Path, prefix: str) -> list[dict[str, Any]]:
    """The JSON lines in all files that begin so."""
    return [json.loads(line) for path in sorted(folder.glob(f"{prefix}*")) for line in path.read_bytes().splitlines()]


@pytest.fixture
def written() -> Callable[[Path, str], list[dict[str, Any]]]:
    return lines_of


@pytest.fixture
def direct() -> list[str]:
    return list(DIRECT)
