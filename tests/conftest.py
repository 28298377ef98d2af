"""What every test may use: a loop, a clock that stands still, small bundles, and services that run in process."""

import asyncio
import gc
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from hypothesis import settings

from features.clock import Clock, ManualClock, SystemClock
from features.stores.memory import MemoryStore
from model.training.demo import build_demo
from model.training.simulate import SimulationConfig
from service.app import create_app
from service.settings import Platform, Settings
from service.wiring import running_service

# A busy machine is slow, not wrong; the same examples on every run keep a red build red.
settings.register_profile("keyscore", deadline=None, derandomize=True, max_examples=200)
settings.load_profile("keyscore")

# A shell that runs the tests in the background has them ignore Ctrl-C, and with them every program they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_SHOP = """\
name: shop
version: "3"
model: {file: model.cbm, sha256: $sha256}
entities:
  customer: {keys: [{name: customer_id}]}
  merchant: {keys: [{name: merchant_id}]}
views:
  account: {entity: customer$account}
  activity: {entity: customer}
  risk: {entity: merchant$risk}
request:
  amount: {dtype: float, minimum: 0, maximum: 1000000}
features:
  - {name: balance, from: account.balance$balance}
  - {name: city, from: account.city, dtype: string}
  - {name: visits, from: activity.visits, dtype: int, default: 0, absent: {not_found: default, 'null': default}}
  - {name: rate, from: risk.rate$rate}
  - {name: amount, from: request.amount}
  - {name: amount_to_balance, derive: {ratio: [amount, balance]}}
"""


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Garbage is not collected: what refers to itself stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> ManualClock:
    """Stands at 1,000 s monotonic and 1,700,000,000 s wall."""
    return ManualClock()


class ShiftedClock(SystemClock):
    """The machine's clocks, running on; `shift` makes everything that is remembered older at once."""

    __slots__ = ("_ahead_s",)

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead_s

    def wall(self) -> float:
        return super().wall() + self._ahead_s

    def shift(self, seconds: float) -> None:
        self._ahead_s += seconds


@pytest.fixture
def shifted_clock() -> type[ShiftedClock]:
    """Makes clocks for what talks to a real socket, whose time cannot stand still."""
    return ShiftedClock


@pytest.fixture
def settle() -> Callable[[], Awaitable[None]]:
    """Awaiting `settle()` lets every other task run until it waits for something that only the test can give."""

    async def settled() -> None:
        for _ in range(20):  # the longest chain is request -> flight -> read -> store, a few steps for each link
            await asyncio.sleep(0)

    return settled


@pytest.fixture
def passing(clock: ManualClock, settle: Callable[[], Awaitable[None]]) -> Callable[[Awaitable[Any]], Awaitable[Any]]:
    """`await passing(call)`: what the call returns while time passes, in steps of 10 ms."""

    async def until_done(call: Awaitable[Any]) -> Any:
        task = asyncio.ensure_future(call)
        for _ in range(100_000):
            await settle()
            if task.done():
                return task.result()
            clock.advance(0.01)
        raise AssertionError("it never ends")

    return until_done


@dataclass(frozen=True)
class SmallDemo:
    """The demo's bundle and store, made from a small simulation; neither is ever changed by a test."""

    bundle: Path
    store: Path


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> SmallDemo:
    folder = tmp_path_factory.mktemp("small_demo")
    made = SmallDemo(folder / "bundle", folder / "store.sqlite")
    build_demo(made.bundle, made.store, SimulationConfig(customers=300, merchants=250, days=70), lambda _: None)
    return made


@pytest.fixture(scope="session")
def train() -> Callable[[Sequence[str], Sequence[str]], bytes]:
    """`train(names, categories)`: a `model.cbm` whose score depends on every feature of `names`."""

    @cache
    def trained(names: tuple[str, ...], categories: tuple[str, ...]) -> bytes:
        random = np.random.default_rng(3)
        numbers = random.uniform(0, 100, (300, len(names)))
        target = (numbers.sum(axis=1) > 50 * len(names)).astype(int)
        words = {name: [f"{'abc'[int(value) % 3]}" for value in numbers[:, names.index(name)]] for name in categories}
        frame = pd.DataFrame({name: words.get(name, numbers[:, at]) for at, name in enumerate(names)})
        model = CatBoostClassifier(
            iterations=40, depth=3, rsm=0.5, thread_count=1, verbose=False, allow_writing_files=False, random_seed=1
        ).fit(frame, target, cat_features=list(categories))
        blob: bytes = model._serialize_model()  # what save_model writes, without a file
        return blob

    return lambda names, categories=(): trained(tuple(names), tuple(categories))


@pytest.fixture(scope="session")
def overflowing() -> Callable[..., bytes]:
    """`overflowing(names, categories)`: a `model.cbm` whose score is infinite where the first feature is above 90."""

    @cache
    def trained(names: tuple[str, ...], categories: tuple[str, ...]) -> bytes:
        numbers = np.random.default_rng(4).uniform(0, 100, (300, len(names)))
        words = {name: [f"{'abc'[int(value) % 3]}" for value in numbers[:, names.index(name)]] for name in categories}
        frame = pd.DataFrame({name: words.get(name, numbers[:, at]) for at, name in enumerate(names)})
        above = numbers[:, 0] > 90
        target = np.where(above, 20, 1 + numbers[:, 1:].mean(axis=1) / 25)
        model = CatBoostRegressor(
            loss_function="Poisson", iterations=80, depth=3, learning_rate=0.2, thread_count=1, verbose=False,
            allow_writing_files=False, random_seed=1,
        ).fit(frame, target, cat_features=list(categories))  # fmt: skip
        raw = model.predict(frame, prediction_type="RawFormulaVal")
        scale, bias = model.get_scale_and_bias()
        wider = 1_000 / (raw[above].min() - raw[~above].max())  # e to the power of more than 709 overflows
        model.set_scale_and_bias(scale * wider, (bias - raw[~above].max()) * wider)
        blob: bytes = model._serialize_model()
        return blob

    return lambda names, categories=(): trained(tuple(names), tuple(categories))


@pytest.fixture
def write_bundle(tmp_path: Path) -> Callable[..., Path]:
    """`write_bundle(model, serving=None, golden=None)`: the folder of a new bundle."""

    def write(model: bytes, serving: str | None = None, golden: Sequence[Mapping[str, Any]] = ()) -> Path:
        folder = tmp_path / f"bundle{len(list(tmp_path.glob('bundle*')))}"
        folder.mkdir()
        (folder / "model.cbm").write_bytes(model)
        if serving is not None:
            text = serving.replace("$sha256", sha256(model).hexdigest())
            (folder / "serving.yaml").write_text(text, encoding="utf-8")
        if golden:
            (folder / "golden.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in golden), encoding="utf-8")
        return folder

    return write


@pytest.fixture
def shop(
    train: Callable[[Sequence[str], Sequence[str]], bytes], write_bundle: Callable[..., Path]
) -> Callable[..., Path]:
    """`shop(account=", max_age: 1h", …)`: a bundle of three views, with more said about a view or a feature.

    `shop(overflowing)` has a model that gives no finite score where the balance is above 90.
    """

    def make(trained: Callable[..., bytes] = train, **more: str) -> Path:
        text = _SHOP
        for place in ("account", "risk", "balance", "rate"):
            text = text.replace(f"${place}", more.get(place, ""))
        names = ("balance", "city", "visits", "rate", "amount", "amount_to_balance")
        return write_bundle(trained(names, ("city",)), text)

    return make


@pytest.fixture
def goods(clock: ManualClock) -> MemoryStore:
    """The shop's rows: C1 and C2 are customers, M1 is a merchant; all was written 100 s ago."""
    store = MemoryStore()
    then = clock.wall() - 100
    store.put("account", "C1", {"balance": 80.0, "city": "a"}, then)
    store.put("account", "C2", {"balance": 20.0, "city": "b"}, then)
    store.put("activity", "C1", {"visits": 7}, then)
    store.put("activity", "C2", {"visits": 60}, then)
    store.put("risk", "M1", {"rate": 33.0}, then)
    return store


@pytest.fixture
async def serve(clock: ManualClock) -> AsyncIterator[Callable[..., Awaitable[httpx.AsyncClient]]]:
    """`await serve(bundle, store, max_in_flight=1, …)`: a client of a service that runs in this process."""
    async with AsyncExitStack() as stack:

        async def start(
            bundle: Path | str,
            store: object = None,
            /,  # `store="vertex"` is a setting
            *,
            clock: Clock = clock,
            platform: Platform | None = None,
            **chosen: Any,
        ) -> httpx.AsyncClient:
            running = running_service(
                Settings(bundle=str(bundle), **chosen), platform or Platform(), store=store, clock=clock
            )
            transport = httpx.ASGITransport(create_app(await stack.enter_async_context(running)))
            return await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://test"))

        yield start
