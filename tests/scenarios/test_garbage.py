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
from features.turns import SLICE

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


async def until_nothing_is_under_way() -> None:
    """Waits for our reads to end, whoever waits for them."""
    async with asyncio.timeout(30):
        while any(map(_reads, asyncio.all_tasks())):  # noqa: ASYNC110  # of all tasks
            await asyncio.sleep(0)


def _reads(task: "asyncio.Task[Any]") -> bool:
    file: str = task.get_coro().cr_code.co_filename  # type: ignore[union-attr]
    return "/features/" in file and "/emulator/" not in file


UNKNOWN = {"customer_id": "nobody", "merchant_id": "nobody", "amount": 1.0}
NAMELESS = {"merchant_id": "M1", "amount": 1.0}
FAULTS: dict[str, list[dict[str, Any]]] = {
    **{kind.value: [{"kind": kind.value}] for kind in FaultKind},
    "denied": [{"kind": "error", "code": "PERMISSION_DENIED"}],
    "unknown": [{"kind": "error", "code": "NOT_FOUND"}],
    "exhausted": [{"kind": "error", "code": "RESOURCE_EXHAUSTED"}],
    "now and then": [{"kind": "error", "code": "UNAVAILABLE", "share": 0.5}],
    "doubtful, then down": [
        {"kind": "malformed", "share": 0.5, "seed": 1},
        {"kind": "error", "code": "INTERNAL", "share": 0.5, "seed": 2},
    ],
    "too slow": [{"kind": "latency", "ms": 5000}],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
async def test_reads_that_fail_leave_nothing(
    over_grpc: Callable[..., Awaitable[httpx.AsyncClient]],
    demo_emulator: Emulator,
    demo_instances: Sequence[Any],
    garbage: Callable[[], Counter[str]],
    *,
    shifted_clock: type[Any],
    faults: list[dict[str, Any]],
) -> None:
    clock = shifted_clock()
    client = await over_grpc(clock, deadline_s=0.1)

    async def ask(path: str, instances: Sequence[Any]) -> None:
        clock.shift(2)  # so long ago that the throttle has forgotten it
        await client.post(path, json={"instances": list(instances)})

    known, new = demo_instances[:8], demo_instances[8:]
    for one in known:
        await ask("/predict", [one])
    clock.shift(60)  # beyond their TTL: they are read again, and nobody waits for it
    demo_emulator.set_faults(faults)
    reads = demo_emulator.reads.messages.total()
    for path in PATHS:
        await ask(path, new[-1:])
    await until_nothing_is_under_way()
    garbage()  # of the start
    for path, size in product(PATHS, (1, 8)):
        for at in range(TIMES):
            await ask(path, new[at * size : (at + 1) * size])
    await ask("/predict", known)
    await ask("/predict", [{**UNKNOWN, "customer_id": f"X{number}"} for number in range(SLICE + 1)])
    await until_nothing_is_under_way()
    assert demo_emulator.reads.messages.total() >= reads + len(PATHS) * (1 + 2 * TIMES)
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
    seen = set()
    for instances in bodies:
        for _ in range(TIMES):
            answer = await client.post(path, json={"instances": instances, "parameters": parameters})
            seen.add(answer.status_code)
    seen.add((await client.post(path, content=b'{"instances": [')).status_code)
    headers = {"x-request-timeout-ms": "0.001"}
    seen.add((await client.post(path, json={"instances": known}, headers=headers)).status_code)
    await until_nothing_is_under_way()
    assert not garbage()
    assert {200, 400, 422} <= seen
