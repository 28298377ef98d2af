"""What is served under load: the plain bundle, made here once and kept under `var/load/`, and the demo.

The plain bundle is one view of 30 floats (or as many as are asked for) under one key, with 500 trees of depth 6. An
entity's features are a function of its number, so whoever knows the number knows what the right score is, for a million
entities and without a file.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from catboost import CatBoostClassifier
from numpy.typing import NDArray

from load_tests.processes import ROOT, keyscore

PLAIN_VIEW: Final = "plain"
PLAIN_PARENT: Final = "projects/load/locations/us-central1/featureOnlineStores/load"
PLAIN_FEATURES: Final = 30
LOAD_FOLDER: Final = ROOT / "var" / "load"
DEMO_BUNDLE: Final = ROOT / "var" / "demo"
DEMO_STORE: Final = ROOT / "var" / "features.sqlite"

_TREES: Final = 500
_DEPTH: Final = 6
_TRAINING_ROWS: Final = 5_000
_CHUNK: Final = 50_000
_SERVING: Final = """\
name: plain
version: "1"
entities:
  entity: {keys: [{name: entity_id, dtype: string}]}
views:
  plain:
    entity: entity
    source: $parent/featureViews/plain
    cache: {ttl: $ttl, stale_while_revalidate: 10s, stale_if_error: 5m, negative_ttl: 1s}
features:
"""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Served:
    """A bundle with its rows.

    Attributes:
        bundle: The bundle's folder.
        store: The embedded store's file.
        entities: How many entities the plain bundle has; 0 for the demo, whose entities are in the file.
        features: How many features each of those has.
    """

    bundle: Path
    store: Path
    entities: int = 0
    features: int = PLAIN_FEATURES


def plain_columns(features: int = PLAIN_FEATURES) -> tuple[str, ...]:
    """Names of the plain bundle's features."""
    return tuple(f"f{number:02d}" for number in range(features))


PLAIN_COLUMNS: Final = plain_columns()


def plain_key(number: int) -> str:
    """The key of entity `number`."""
    return f"E{number:07d}"


def plain_values(numbers: NDArray[np.int64], features: int = PLAIN_FEATURES) -> NDArray[np.float64]:
    """The features of these entities, `(n_entities, features)`: multiples of 0.01 from 0 to 99.99, all alike likely.

    Source: the finalizer of SplitMix64, which makes neighbouring numbers as different as any.
    """
    columns = np.arange(features, dtype=np.uint64)
    cells: NDArray[np.uint64] = numbers.astype(np.uint64)[:, None] * np.uint64(features) + columns
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is what is meant
        cells = (cells + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        cells = (cells ^ (cells >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        cells = (cells ^ (cells >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        cells ^= cells >> np.uint64(31)
    hundredths: NDArray[np.float64] = (cells % np.uint64(10_000)).astype(np.float64)
    return hundredths / 100.0


def plain(
    entities: int,
    say: Say,
    *,
    ttl: str = "60s",
    folder: Path = LOAD_FOLDER,
    trees: int = _TREES,
    features: int = PLAIN_FEATURES,
) -> Served:
    """The plain bundle with rows of this many entities; made if it is not there.

    Args:
        entities: How many, from number 0 on.
        say: Told in one line about each long step.
        ttl: How long a read may be reused, as serving.yaml spells it.
        folder: Where it is kept from run to run.
        trees: Of the model.
        features: Of each entity.
    """
    wide = "" if features == PLAIN_FEATURES else f"-{features}floats"
    bundle, store = folder / f"plain-{ttl}-{trees}{wide}", folder / f"plain-{entities}{wide}.sqlite"
    if not (bundle / "serving.yaml").is_file():
        say(f"training the plain model ({trees} trees of depth {_DEPTH})")
        _write_bundle(bundle, ttl, trees, features)
    if not store.is_file():
        say(f"filling {store.name} with {entities:,} entities (about {max(1, entities // 15_000)} s, once)")
        _fill(store, entities, features)
    return Served(bundle, store, entities, features)


def demo(say: Say) -> Served:
    """The demo, as `make demo` builds it; built if it is not there."""
    if not ((DEMO_BUNDLE / "serving.yaml").is_file() and DEMO_STORE.is_file()):
        say("building the demo (about 10 s)")
        subprocess.run(keyscore("demo"), cwd=ROOT, check=True, stdout=sys.stderr)  # noqa: S603  # our own command
    return Served(DEMO_BUNDLE, DEMO_STORE)


def copied(served: Served, folder: Path) -> Served:
    """The same with a store file of its own, for a run that changes values."""
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / served.store.name
    shutil.copyfile(served.store, store)
    return replace(served, store=store)


def _write_bundle(bundle: Path, ttl: str, trees: int, features: int) -> None:
    building = bundle.with_name(f".{bundle.name}.{os.getpid()}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    values, columns = plain_values(np.arange(_TRAINING_ROWS), features), plain_columns(features)
    noise = np.random.default_rng(7).normal(0, 40, _TRAINING_ROWS)
    target = (values @ np.linspace(-1, 1, values.shape[1]) + values[:, 0] * values[:, 1] / 40 + noise > 0).astype(int)
    model = CatBoostClassifier(
        iterations=trees, depth=_DEPTH, thread_count=2, random_seed=7, verbose=False, allow_writing_files=False
    )
    model.fit(pa.table(dict(zip(columns, values.T, strict=True))).to_pandas(), target)
    model.save_model(str(building / "model.cbm"))
    declared = "".join(f"  - {{name: {name}, from: plain.{name}}}\n" for name in columns)
    serving = _SERVING.replace("$ttl", ttl).replace("$parent", PLAIN_PARENT)
    (building / "serving.yaml").write_text(serving + declared, encoding="utf-8")
    try:
        building.rename(bundle)
    except OSError:  # another run was faster, and made the same
        shutil.rmtree(building)


def _fill(store: Path, entities: int, features: int) -> None:
    building = store.with_name(f".{store.name}.{os.getpid()}.building")
    table = building.with_suffix(".parquet")
    for stale in (building, table):
        stale.unlink(missing_ok=True)
    store.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("entity_id", pa.string()), *((name, pa.float64()) for name in plain_columns(features))])
    with pq.ParquetWriter(table, schema) as writer:
        for begin in range(0, entities, _CHUNK):
            numbers = np.arange(begin, min(begin + _CHUNK, entities))
            values = plain_values(numbers, features).T.copy()
            columns = [pa.array(map(plain_key, numbers.tolist())), *map(pa.array, values)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    command = keyscore("load", PLAIN_VIEW, str(table), "--key", "entity_id", "--sqlite-path", str(building))
    filled = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603  # our own command
    if filled.returncode:
        raise RuntimeError(f"`keyscore load` failed:\n{filled.stdout[-2000:]}{filled.stderr[-2000:]}")
    table.unlink()
    with suppress(FileExistsError):  # another run was faster: its file may be in use, and is the same
        os.link(building, store)
    building.unlink()
