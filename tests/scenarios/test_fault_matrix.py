"""The fault matrix: every fault of `fault_matrix.yaml` in every state of the cache, on both routes, by both policies.

The way is the real one: the app, its guarded and coalescing store, gRPC over the loopback interface, the emulator. Each
cell has a service of its own, so that none sees the throttle or the budgets that another has left behind.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Final

import httpx
import numpy as np
import pytest
import yaml

from features.emulator import Emulator
from features.events import Nobody
from features.stores.base import ReadMode
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.values import DType
from service.app import create_app
from service.bundle import load_bundle
from service.settings import Platform, Settings
from service.stores import vertex_store
from service.telemetry.tally import Tally
from service.wiring import Service, running_service

pytestmark = pytest.mark.anyio

FAULTS: Final[Sequence[Mapping[str, Any]]] = yaml.safe_load(
    Path(__file__).with_name("fault_matrix.yaml").read_text(encoding="utf-8")
)
STATES: Final = {"cold": None, "fresh": 0.0, "stale": 90.0, "expired": 1_000.0}
_READS: Final = {
    "cold": ReadMode.UNARY,
    "fresh": ReadMode.AUTO,
    "stale": ReadMode.STREAMING,
    "expired": ReadMode.STREAMING,
}
"""Cold and expired mean the same to the store, so each shows one way of reading."""
"""Seconds since the row was read; None for never. The views' ttl is 60 s, both stale windows end at 120 s."""
ROUTES: Final = ("/predict", "/predict/detailed")

COLUMNS: Final = {"balance": DType.FLOAT, "visits": DType.INT, "city": DType.STRING}
STORED: Final = {
    "C1": {"balance": 80.25, "visits": 7, "city": "a"},
    "C2": {"balance": 20.5, "visits": 2**53 + 1, "city": "b"},
}
_SERVING: Final = """\
name: matrix
version: "1"
model: {file: model.cbm}
entities:
  customer: {keys: [{name: customer_id}]}
views:
  account:
    entity: customer
    source: projects/p/locations/us-central1/featureOnlineStores/s/featureViews/account
    cache: {ttl: 60s, stale_while_revalidate: 60s, stale_if_error: 60s}
    max_age: 1d
    $absent
features:
  - {name: balance, from: account.balance$float}
  - {name: visits, from: account.visits, dtype: int$int}
  - {name: city, from: account.city, dtype: string$string}
"""
_SAID: Final = {
    "fail": {"absent": "", "float": "", "int": "", "string": ""},
    "default": {
        "absent": "absent: {not_found: default, 'null': default, too_old: default, error: default}",
        "float": ", default: 50",
        "int": ", default: 3",
        "string": ", default: c",
    },
}


@dataclass(frozen=True)
class Told:
    """What both routes must agree on."""

    status: int
    degraded: int
    defaulted: int
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Cell:
    """One fault in one state of the cache by one policy."""

    fault: Mapping[str, Any]
    state: str
    policy: str

    @property
    def remembered(self) -> bool:
        """Whether a row is at hand, so that nobody waits for the store."""
        return self.state in ("fresh", "stale")

    @property
    def fails(self) -> bool:
        """Whether the request hears of a failure of the store, substituted or not."""
        return not self.remembered and self.fault["fail"][0] >= 500

    @property
    def expected(self) -> tuple[int, int, int]:
        """Status, values degraded, values defaulted."""
        status, degraded, defaulted = (200, 0, 0) if self.remembered else self.fault[self.policy]
        return status, degraded, defaulted

    @property
    def absent(self) -> list[str]:
        """Features for which a 200 uses nothing that is stored."""
        if 3 in self.expected[1:]:
            return list(COLUMNS)
        return [] if self.remembered else self.fault.get("absent", [])

    @property
    def entity(self) -> str:
        return self.fault.get("entity", "C1")


class Bench:
    """An emulator, a bundle for each policy, and what answers are held against."""

    def __init__(self, emulator: Emulator, bundles: Mapping[str, Path], problem_of: Callable[..., Any]) -> None:
        self.emulator = emulator
        self._bundles = {policy: load_bundle(str(path)) for policy, path in bundles.items()}
        self._paths = bundles
        self._problem_of = problem_of

    async def hold(self, cell: Cell, route: str, clock: Any) -> Told:
        """Goes through one cell on one route; fails if it is not as the table says, or leaves something behind."""
        before = len(asyncio.all_tasks())  # not which: gRPC's server replaces the one that listens
        async with AsyncExitStack() as stack:
            service = await stack.enter_async_context(self._serving(cell, clock))
            transport = httpx.ASGITransport(create_app(service))
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://test"))

            async def ask(path: str, **parameters: Any) -> httpx.Response:
                answer = await client.post(path, json={"instances": [cell.entity], "parameters": parameters})
                assert service.pipeline.admission.in_flight == 0
                return answer

            age_s = STATES[cell.state]
            if age_s is not None:
                assert (await ask(route)).status_code == 200
                clock.shift(age_s)
            await self._break(cell.fault)
            told = self._told(await ask(route), cell)
            await self._check_reads(cell, service.tally)
            self.emulator.set_faults([])
            clock.shift(2.0)  # beyond the throttle's window
            # A failure is remembered by nobody. What the store did say may be: then the caller asks for a new read.
            healed = await ask("/predict/detailed", **({} if cell.fails else {"max_cached_s": 0}))
            self._check_values(healed, cell, absent=[], source="store")
        await _until(lambda: len(asyncio.all_tasks()) <= before)
        return told

    def _serving(self, cell: Cell, clock: Any) -> AbstractAsyncContextManager[Service]:
        settings = Settings(
            bundle=str(self._paths[cell.policy]),
            store="vertex",
            vertex_endpoint=f"127.0.0.1:{self.emulator.port}",
            vertex_plaintext=True,
            vertex_read=_READS[cell.state],
            deadline_s=cell.fault.get("deadline_s", 5.0),
        )
        limit = cell.fault.get("receive_limit_bytes")
        spec = self._bundles[cell.policy].spec
        store = vertex_store(settings, spec, clock, Nobody(), receive_limit_bytes=limit) if limit else None
        return running_service(settings, Platform(), store=store, clock=clock)

    async def _break(self, fault: Mapping[str, Any]) -> None:
        self.emulator.reads.clear()
        self.emulator.set_faults(fault.get("rules", []))
        if fault.get("restart"):
            await self.emulator.stop_serving()
            await self.emulator.start_serving()

    def _told(self, answer: httpx.Response, cell: Cell) -> Told:
        """The answer, when it is what the table says."""
        degraded, defaulted = (int(answer.headers.get(f"x-keyscore-{flag}", 0)) for flag in ("degraded", "defaulted"))
        assert (answer.status_code, degraded, defaulted) == cell.expected, answer.text
        if answer.status_code != 200:
            self._problem_of(answer)
            return Told(*cell.expected, ())
        (predicted,) = answer.json()["predictions"]
        if isinstance(predicted, dict):
            source = {"fresh": "cache", "stale": "stale"}.get(cell.state, "store")
            self._check_values(answer, cell, absent=cell.absent, source=source)
            predicted = predicted["scores"]
        return Told(*cell.expected, tuple(predicted))

    def _check_values(self, answer: httpx.Response, cell: Cell, absent: Sequence[str], source: str) -> None:
        """What is used is what is stored, or said to be something else; and the score is the score of just that."""
        assert answer.status_code == 200, answer.text
        (predicted,) = answer.json()["predictions"]
        used, stored = predicted["features"], STORED[cell.entity]
        assert [name for name in COLUMNS if used[name]["status"] != "PRESENT"] == absent
        for name in COLUMNS:
            if name in absent:
                assert used[name]["source"] == {"fail": "missing", "default": "default"}[cell.policy]
            else:
                assert (used[name]["value"], type(used[name]["value"])) == (stored[name], type(stored[name]))
                assert used[name]["source"] == source
                assert used[name]["age_s"] >= 0
        errors = [one for one in used.values() if one["status"] == "ERROR"]
        defaults = [one for one in used.values() if one["source"] == "default" and one["status"] != "ERROR"]
        assert int(answer.headers.get("x-keyscore-degraded", 0)) == predicted["degraded"] == len(errors)
        assert int(answer.headers.get("x-keyscore-defaulted", 0)) == len(defaults)
        bundle = self._bundles[cell.policy]
        numbers = [math.nan if used[name]["value"] is None else used[name]["value"] for name in ("balance", "visits")]
        city = used["city"]["value"]
        text = bundle.spec.features[2].missing_category if city is None else city
        scores = bundle.scorer.score(np.array([numbers], dtype=np.float32, order="F"), [[text]])
        assert predicted["scores"] == scores[0].tolist()

    async def _check_reads(self, cell: Cell, tally: Tally) -> None:
        """One read at most, in the background where a stale row was served; and how often that asked the store."""
        warming = cell.state != "cold"
        reading = cell.state != "fresh"
        await _until(lambda: tally.reads.total() == warming + reading)
        least, most = cell.fault["attempts"] if reading else (0, 0)
        assert least <= self.emulator.reads.messages.total() <= most


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what is waited for are counts, which tell nobody that they move
            await asyncio.sleep(0.001)


@pytest.fixture(scope="module")
def bundles(train: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folders = {}
    for policy, said in _SAID.items():
        folders[policy] = tmp_path_factory.mktemp(f"bundle_{policy}")
        (folders[policy] / "model.cbm").write_bytes(train(tuple(COLUMNS), ("city",)))
        (folders[policy] / "serving.yaml").write_text(Template(_SERVING).substitute(said), encoding="utf-8")
    return folders


@pytest.fixture
async def bench(
    bundles: Mapping[str, Path], tmp_path: Path, problem_of: Callable[[httpx.Response], Any]
) -> AsyncIterator[Bench]:
    path = tmp_path / "store.sqlite"
    with SqliteWriter(path) as writer:
        rows = [StoredRow(key, values, time.time() - 100) for key, values in STORED.items()]
        writer.replace_view("account", ("customer_id",), COLUMNS, rows)
    async with Emulator(path, rest_port=None) as emulator:
        yield Bench(emulator, bundles, problem_of)


def test_the_table_shows_every_fault() -> None:
    assert {fault["number"] for fault in FAULTS} == set(range(1, 25))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"F{fault['number']} {fault['name']}")
async def test_the_service_does_what_the_table_says(
    bench: Bench, shifted_clock: type[Any], fault: Mapping[str, Any], state: str
) -> None:
    for policy in _SAID:
        cell = Cell(fault, state, policy)
        told = [await bench.hold(cell, route, shifted_clock()) for route in ROUTES]
        assert told[0] == told[1]
