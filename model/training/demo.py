"""Builds the demo: from a configuration to a bundle and a store that serve.

The store is written before the bundle appears, and the bundle appears by one rename. So a bundle that is there is
whole and has its rows, whenever the build was killed.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from features.stores.sqlite_writer import SqliteWriter, StoredRow
from model.training import golden, train
from model.training.card import ModelCard, write_card
from model.training.catalog import KEY_OF, VIEWS, feature_frame, store_rows
from model.training.features_in_time import PointInTime
from model.training.history import CHANNELS, Bools, Floats, History, Ints, Transactions
from model.training.metrics import precision_recall
from model.training.plot import precision_recall_svg
from model.training.serving_file import serving_yaml
from model.training.simulate import SimulationConfig, simulate

MODEL_FILE: Final = "model.cbm"
SERVING_FILE: Final = "serving.yaml"
MODEL_SEED: Final = 7
_GOLDEN_SEED: Final = 11

Progress = Callable[[str], None]


def build_demo(directory: Path, store_path: Path, config: SimulationConfig, progress: Progress) -> ModelCard:
    """The bundle stands in `directory` and its rows, as of `config.end_s`, in the store at `store_path`.

    Args:
        directory: Where the bundle goes; a bundle that is there already is replaced, anything else is not.
        store_path: The embedded store's file; its demo views are replaced, other views stay.
        config: What to simulate; at least 60 days, 300 customers and 250 merchants.
        progress: Told in one short line about each long step.

    Raises:
        FileExistsError: There is something else than a bundle in `directory`.
        ValueError: The simulation is too short to be split, or `golden.TooFewLines`: too small.
        features.errors.StoreFileError: The store cannot be written.
    """
    # Both refuse before the work, not after it.
    _check_replaceable(directory)
    split = train.Split.of(config.days)
    history = _simulated(config, progress)
    known = PointInTime(history)
    test = history.transactions.take(split.test(history.transactions))
    with _timed("computing features as of each payment", progress):
        trained = history.transactions.take(split.training(history.transactions))
        train_frame, test_frame = model_input(known, trained), model_input(known, test)
    progress(f"training on {len(trained):,} payments, testing on {len(test):,}")
    model = train.fit(train_frame, trained.fraud, seed=MODEL_SEED, progress=progress)
    scores = train.predict(model, test_frame)
    with _replacing(directory) as folder:
        train.save(model, folder / MODEL_FILE)
        digest = sha256((folder / MODEL_FILE).read_bytes()).hexdigest()
        card = write_card(
            config,
            history,
            split,
            scores[:, 1],
            importances=train.importances(model),
            model_seed=MODEL_SEED,
            sha256=digest,
        )
        incomplete = test_frame.isna().any(axis=1).to_numpy()
        recorded = golden_lines(history, known, test, scores, incomplete)
        _write(folder / SERVING_FILE, serving_yaml(MODEL_FILE, digest))
        _write(folder / "golden.jsonl", "".join(f"{line}\n" for line in recorded))
        _write(folder / "model_card.md", card.text())
        _write(folder / "model_card.svg", _curves(test, scores[:, 1]))
        written = write_store(store_path, known)
        progress(f"stored {written:,} feature rows in {store_path}")
    progress(f"bundle in {directory}: ROC AUC {card.model.roc_auc:.3f}, {len(recorded)} golden lines")
    return card


def model_input(known: PointInTime, transactions: Transactions) -> pd.DataFrame:
    """The features of each payment as of just before it, in the model's order."""
    channel = np.array(CHANNELS, dtype=object)[transactions.channel]
    request: Mapping[str, Any] = {"amount": transactions.amount, "channel": channel}
    return feature_frame(known.before(transactions), request)


def golden_lines(
    history: History, known: PointInTime, test: Transactions, scores: Floats, incomplete: Bools
) -> list[str]:
    """The golden lines of the test period; see `golden`.

    Args:
        history: Where the payments come from.
        known: What was known when.
        test: Payments of the test period; n of them.
        scores: Their probabilities by class; shape `(n, 2)`.
        incomplete: Whether a feature of each was null; shape `(n,)`.

    Raises:
        golden.TooFewLines: There are too few distinct customers or merchants.
    """
    chosen: Ints = golden.choose(np.random.default_rng(_GOLDEN_SEED), test, scores[:, 1], incomplete)
    picked = test.take(chosen)
    return golden.lines(picked, known.before(picked), history.unix_s(picked.time_ms), scores[chosen])


def online_rows(known: PointInTime) -> Mapping[str, Iterator[StoredRow]]:
    """Each view's rows as of the end of the history, by the view's name.

    A row's event time is the moment its state last changed: the customer's last payment or deposit, the merchant's
    last payment.
    """
    return {
        view: (StoredRow(key, values, event_time) for key, values, event_time in store_rows(view, state))
        for view, state in known.latest().items()
    }


def write_store(path: Path, known: PointInTime) -> int:
    """All views are in the store's file, or none if it fails half-way; returns the number of rows."""
    rows = online_rows(known)
    with SqliteWriter(path) as writer:
        return sum(
            writer.replace_view(name, (KEY_OF[view.entity],), view.columns, rows[name]) for name, view in VIEWS.items()
        )


def _simulated(config: SimulationConfig, progress: Progress) -> History:
    size = f"{config.customers:,} customers, {config.merchants:,} merchants, {config.days} days"
    with _timed(f"simulating {size}", progress):
        history = simulate(config)
    made = history.transactions
    progress(f"... {len(made):,} payments, {made.fraud.mean():.2%} of them fraudulent")
    return history


def _curves(test: Transactions, scores: Floats) -> str:
    return precision_recall_svg(
        {"model": precision_recall(test.fraud, scores), "amount alone": precision_recall(test.fraud, test.amount)}
    )


@contextmanager
def _timed(step: str, progress: Progress) -> Iterator[None]:
    progress(step)
    begun = time.perf_counter()
    yield
    progress(f"... done ({time.perf_counter() - begun:.1f} s)")


def _check_replaceable(directory: Path) -> None:
    """A slip of the keyboard must not cost anybody a folder of their own."""
    if directory.exists() and not (directory / SERVING_FILE).is_file() and any(directory.iterdir()):
        raise FileExistsError(f"{directory} holds something that is not a bundle; name another folder")


@contextmanager
def _replacing(directory: Path) -> Iterator[Path]:
    """A folder beside `directory` that takes its place when the block ends well, and vanishes when it does not.

    A kill leaves a folder whose name begins with a dot and which nobody reads. Where a bundle is replaced there is a
    moment between two renames without one; a directory cannot be swapped in one step everywhere.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    folder = directory.with_name(f".{directory.name}.{os.getpid()}.building")
    old = directory.with_name(f".{directory.name}.{os.getpid()}.old")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
        if directory.exists():
            directory.rename(old)
        folder.rename(directory)
        shutil.rmtree(old, ignore_errors=True)  # only now: until here it is the one good copy
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
