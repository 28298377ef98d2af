"""Tiny models of every kind that is served, and a local server that speaks for Google Cloud."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoost, CatBoostClassifier, CatBoostRanker, CatBoostRegressor, Pool, sum_models
from numpy.typing import NDArray

_QUIET = {"iterations": 8, "depth": 3, "thread_count": 1, "verbose": False, "allow_writing_files": False}
_N = 200
_RANDOM = np.random.default_rng(7)
NUMBERS = _RANDOM.normal(size=(_N, 3)).astype(np.float32)
WORDS = np.array([[f"c{a}", f"é {b}"] for a, b in _RANDOM.integers(0, 6, (_N, 2))], dtype=object)
_YES = (NUMBERS[:, 0] + (WORDS[:, 0] == "c1") * 2 - (WORDS[:, 1] == "é 2") + NUMBERS[:, 1] / 4 > 0).astype(int)
_KINDS = np.digitize(NUMBERS[:, 0], [-0.5, 0.5])
_INTERLEAVED = [WORDS[:, 0], NUMBERS[:, 0], NUMBERS[:, 1], WORDS[:, 1], NUMBERS[:, 2]]


@dataclass(frozen=True)
class Trained:
    """A trained model, the rows to ask it about and what it answers itself."""

    model: CatBoost
    expected: NDArray[np.float64]
    numeric: NDArray[np.float32] = field(default_factory=lambda: NUMBERS)
    categorical: NDArray[np.object_] = field(default_factory=lambda: np.empty((_N, 0), dtype=object))
    blob: bytes = b""


def _plain(model: CatBoost, target: object, **fit: object) -> Trained:
    model.fit(NUMBERS, target, **fit)
    predict = model.predict_proba if isinstance(model, CatBoostClassifier) else model.predict
    return Trained(model, predict(NUMBERS))


def _mixed(columns: list[NDArray[np.generic]], names: list[str] | None) -> Trained:
    """Without names the pool is made of an array and positions, with names of a data frame."""
    is_word = [column.dtype == object for column in columns]
    table = np.empty((_N, len(columns)), dtype=object)
    for position, column in enumerate(columns):
        table[:, position] = column
    if names is None:
        pool = Pool(table, _YES, cat_features=np.flatnonzero(is_word))
    else:
        frame = pd.DataFrame(dict(zip(names, columns, strict=True)))
        pool = Pool(frame, _YES, cat_features=[name for name, word in zip(names, is_word, strict=True) if word])
    model = CatBoostClassifier(**_QUIET).fit(pool)
    numbers = [column for column, word in zip(columns, is_word, strict=True) if not word]
    words = [column for column, word in zip(columns, is_word, strict=True) if word]
    return Trained(
        model,
        model.predict_proba(pool),
        np.stack(numbers, axis=1) if numbers else np.empty((_N, 0), dtype=np.float32),
        np.stack(words, axis=1),
    )


def _classifier(**params: object) -> CatBoostClassifier:
    return CatBoostClassifier(**_QUIET, **params)


def _regressor(loss: str) -> CatBoostRegressor:
    return CatBoostRegressor(**_QUIET, loss_function=loss)


def _sum_of_models() -> Trained:
    parts = [_classifier(random_seed=seed).fit(NUMBERS, _YES) for seed in (1, 2)]
    model = sum_models(parts)
    return Trained(model, model.predict(NUMBERS, prediction_type="Probability"))


def _with_threshold() -> Trained:
    trained = _plain(_classifier(), _YES)
    trained.model.set_probability_threshold(0.8)
    return trained


_KEYS = np.full(_N, "k", dtype=object)
_ONES = np.ones(_N, dtype=np.float32)
CASES: dict[str, Callable[[], Trained]] = {
    "binary": lambda: _plain(_classifier(), _YES),
    "binary with threshold": _with_threshold,
    "string labels": lambda: _plain(_classifier(), np.where(_YES, "yes", "no")),
    "boolean labels": lambda: _plain(_classifier(), _YES.astype(bool)),
    "float labels": lambda: _plain(_classifier(), _YES * 1.5),
    "cross entropy": lambda: _plain(_classifier(loss_function="CrossEntropy"), 1 / (1 + np.exp(-NUMBERS[:, 0]))),
    "multiclass": lambda: _plain(_classifier(), _KINDS),
    "multiclass of two": lambda: _plain(_classifier(loss_function="MultiClass"), _YES),
    "one against all": lambda: _plain(_classifier(loss_function="MultiClassOneVsAll"), _KINDS),
    "multilabel": lambda: _plain(_classifier(loss_function="MultiLogloss"), (NUMBERS > 0).astype(int)),
    "sum of models": _sum_of_models,
    "regression": lambda: _plain(_regressor("RMSE"), NUMBERS[:, 0]),
    "poisson": lambda: _plain(_regressor("Poisson"), _KINDS),
    "tweedie": lambda: _plain(_regressor("Tweedie:variance_power=1.5"), _KINDS),
    "uncertainty": lambda: _plain(_regressor("RMSEWithUncertainty"), NUMBERS[:, 0]),
    "several targets": lambda: _plain(_regressor("MultiRMSE"), NUMBERS[:, :2]),
    "quantiles": lambda: _plain(_regressor("MultiQuantile:alpha=0.1,0.5,0.9"), NUMBERS[:, 0]),
    "ranker": lambda: _plain(
        CatBoostRanker(**_QUIET, loss_function="QueryRMSE"), _YES, group_id=np.repeat(np.arange(_N // 10), 10)
    ),
    "mixed": lambda: _mixed(_INTERLEAVED, ["country", "a", "b", "segment", "z"]),
    "mixed without names": lambda: _mixed(_INTERLEAVED, None),
    "mixed, odd names": lambda: _mixed(_INTERLEAVED, ["cöuntry ", " a b", "b:c", '"q"\n', "日本"]),
    "mixed, misleading names": lambda: _mixed(_INTERLEAVED, ["1", "0", "4", "2", "3"]),
    # Matched by position, these columns fit the model's types and give wrong scores without an error.
    "mixed trap": lambda: _mixed([NUMBERS[:, 0], _KEYS, NUMBERS[:, 1], _ONES], None),
    "words only": lambda: _mixed([WORDS[:, 0], WORDS[:, 1]], ["x", "y"]),
    "words only, without names": lambda: _mixed([WORDS[:, 0], WORDS[:, 1]], None),
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """A model of `CASES` by name, trained at the first call."""
    folder = tmp_path_factory.mktemp("models")

    @cache
    def train(case: str) -> Trained:
        made = CASES[case]()
        path = folder / "model.cbm"
        made.model.save_model(path)
        return Trained(made.model, made.expected, made.numeric, made.categorical, path.read_bytes())

    return train


@pytest.fixture(scope="session", params=CASES)
def each(request: pytest.FixtureRequest, trained: Callable[[str], Trained]) -> Trained:
    """Every model of `CASES` in turn."""
    return trained(request.param)


@dataclass
class GoogleCloud:
    """A bucket, a token address and a metadata server behind one local address."""

    address: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    script: list[int] = field(default_factory=list)
    """Statuses to answer before the real answer; 0 hangs up in the middle of the body."""
    token: object = field(default_factory=lambda: {"access_token": "a token", "expires_in": 3600})
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        self.seen.append((path, headers))
        if self.script:
            return self.script.pop(0), b"{}"
        parts = urlsplit(path)
        if parts.path == "/token" or (parts.path.endswith("/token") and headers["Metadata-Flavor"] == "Google"):
            return 200, json.dumps(self.token).encode()
        if parse_qs(parts.query) != {"alt": ["media"]}:
            return 400, b""
        _, _, _, _, bucket, _, name = parts.path.split("/")
        content = self.objects.get(f"{bucket}/{unquote(name)}")
        return (404, b"") if content is None else (200, content)


@pytest.fixture
def cloud() -> Iterator[GoogleCloud]:
    """A running `GoogleCloud`."""
    state = GoogleCloud()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = state.answer(self.path, {name.title(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status or 200)
            self.send_header("Content-Length", str(len(body) + (status == 0)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  # the name that http.server looks for

        def log_message(self, *_: object) -> None:
            """Says nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()
