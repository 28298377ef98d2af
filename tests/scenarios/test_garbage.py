"""What requests leave behind is freed at once, and does not wait for the collector, which has hours of time."""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import product
from typing import Any

import httpx
import pytest

from features.emulator import Emulator
from features.emulator.fault_rules import FaultKind

pytestmark = pytest.mark.anyio

OURS = ("features.", "model.", "service.")
ITS = "features.emulator."
PATHS = ("/predict", "/predict/detailed")
TIMES = 3


@pytest.fixture
def garbage(no_collections: None) -> Callable[[], Counter[str]]:  # noqa: ARG001  # only asked for
    """`garbage()`: what of ours only the collector could free, by type."""

    def find() -> Counter[str]:
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        modules = [(str(type(one).__module__), type(one).__name__) for one in gc.garbage]
        found = Counter(name for module, name in modules if module.startswith(OURS) and not module.startswith(ITS))
        gc.garbage.clear()
        gc.collect()
        return found

    return find


async def until_nothing_is_under_way(tasks_before: int) -> None:
    for _ in range(1000):
        if len(asyncio.all_tasks()) <= tasks_before:
            return
        await asyncio.sleep(0)
    raise AssertionError("something goes on")


UNKNOWN = {"customer_id": "nobody", "merchant_id": "nobody", "amount": 1.0}
NAMELESS = {"merchant_id": "M1", "amount": 1.0}
FAULTS: dict[str, list[dict[str, Any]]] = {
    **{kind.value: [{"kind": kind.value}] for kind in FaultKind},
    "denied": [{"kind": "error", "code": "PERMISSION_DENIED"}],
    "unknown": [{"kind": "error", "code": "NOT_FOUND"}],
    "exhausted": [{"kind": "error", "code": "RESOURCE_EXHAUSTED"}],
    "now and then": [{"kind": "error", "code": "UNAVAILABLE", "share": 0.5}],
    "doubtful, then down": [{"kind": "malformed", "share": 0.5}, {"kind": "error", "code": "INTERNAL", "share": 0.5}],
    "too slow": [{"kind": "latency", "ms": 5000}],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
async def test_reads_that_fail_leave_nothing(
    over_grpc: Callable[..., Awaitable[httpx.AsyncClient]],
    demo_emulator: Emulator,
    demo_instances: Sequence[Any],
    garbage: Callable[[], Counter[str]],
    faults: list[dict[str, Any]],
) -> None:
    client = await over_grpc(deadline_s=0.1)
    demo_emulator.set_faults(faults)
    for path in PATHS:
        await client.post(path, json={"instances": [demo_instances[-1]]})
    garbage()  # of the start
    before = len(asyncio.all_tasks())
    for path, size in product(PATHS, (1, 8)):
        for at in range(TIMES):
            await client.post(path, json={"instances": demo_instances[at * size : (at + 1) * size]})
    await until_nothing_is_under_way(before)
    assert not garbage()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("on_error", ["fail", "null"])
async def test_requests_leave_nothing(
    over_grpc: Callable[..., Awaitable[httpx.AsyncClient]],
    demo_instances: Sequence[Any],
    garbage: Callable[[], Counter[str]],
    path: str,
    on_error: str,
) -> None:
    client = await over_grpc()
    parameters = {"on_error": on_error}
    known = list(demo_instances)
    bodies: list[Any] = [[known[0]], [known[-1]], known[1:20], known[:100], [UNKNOWN], [known[0], UNKNOWN]]
    bodies += [[NAMELESS], [known[0], NAMELESS], [1], [], None]
    await client.post(path, json={"instances": [known[-1]]})
    garbage()  # of the start
    before = len(asyncio.all_tasks())
    seen = set()
    for instances in bodies:
        for _ in range(TIMES):
            answer = await client.post(path, json={"instances": instances, "parameters": parameters})
            seen.add(answer.status_code)
    seen.add((await client.post(path, content=b'{"instances": [')).status_code)
    headers = {"x-request-timeout-ms": "0.001"}
    seen.add((await client.post(path, json={"instances": known}, headers=headers)).status_code)
    await until_nothing_is_under_way(before)
    assert not garbage()
    assert {200, 400, 422} <= seen
