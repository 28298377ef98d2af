"""A large request lets everybody else have a turn, many times, and ends between two; a small one waits for none."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from features.clock import ManualClock
from features.errors import DeadlineExceeded
from features.stores.memory import MemoryStore
from features.turns import CUT, SLICE
from service.responses import Answer
from service.settings import Platform, Settings
from service.wiring import Service, running_service

pytestmark = pytest.mark.anyio

CUSTOMERS = [f"C{at}" for at in range(5_000)]


def body(size: int, **parameters: Any) -> bytes:
    sent = [[CUSTOMERS[at % len(CUSTOMERS)], "M1", at % 100] for at in range(size)]
    return orjson.dumps({"instances": sent, "parameters": parameters})


@pytest.fixture
async def service(shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock) -> AsyncIterator[Service]:
    for at, key in enumerate(CUSTOMERS):
        goods.put("account", key, {"balance": float(at), "city": "abc"[at % 3]})
        goods.put("activity", key, {"visits": at % 50})
    async with running_service(Settings(bundle=str(shop())), Platform(), store=goods, clock=clock) as running:
        yield running


async def ask(service: Service, sent: bytes, *, detailed: bool = False) -> Answer:
    with service.pipeline.admission.admit() as permit:
        return await service.pipeline.answer(sent, permit, detailed=detailed)


async def turns_during(asked: "asyncio.Task[Answer]") -> int:
    """How many turns everybody else has until the answer is there."""
    count = 0
    while not asked.done():
        await asyncio.sleep(0)
        count += 1
    return count


@pytest.mark.parametrize("detailed", [False, True])
async def test_everybody_else_has_hundreds_of_turns_while_ten_thousand_instances_are_answered(
    service: Service, *, detailed: bool
) -> None:
    slices = 10_000 / CUT
    cold = asyncio.ensure_future(ask(service, body(10_000), detailed=detailed))
    # parsing and assembling 10,000 instances; sorting, remembering and judging 5,000 keys of two views
    assert await turns_during(cold) >= 2 * slices + 3 * slices
    warm = asyncio.ensure_future(ask(service, body(10_000), detailed=detailed))
    assert await turns_during(warm) >= 2 * slices + slices
    assert len(orjson.loads(warm.result().body)["predictions"]) == 10_000


async def test_a_small_request_whose_rows_are_known_takes_one_turn_in_which_others_may_join_it(
    service: Service,
) -> None:
    await ask(service, body(SLICE))
    before = sum(service.tally.rows.counts)
    answers = await asyncio.gather(ask(service, body(SLICE // 2)), ask(service, body(SLICE // 2)))
    assert sum(service.tally.rows.counts) == before + 1
    assert [len(orjson.loads(answer.body)["predictions"]) for answer in answers] == [SLICE // 2] * 2
    assert await turns_during(asyncio.ensure_future(ask(service, body(SLICE)))) <= 3


@pytest.mark.parametrize("style", ["simple", "detailed"])
async def test_a_large_request_is_answered_like_many_small_ones(service: Service, style: str) -> None:
    large = orjson.loads((await ask(service, body(3_000, response=style, on_error="null"))).body)["predictions"]
    sent = orjson.loads(body(3_000))["instances"]
    await ask(service, body(3_000))
    small: list[Any] = []
    for start in range(0, 3_000, 100):
        part = orjson.dumps({"instances": sent[start : start + 100], "parameters": {"response": style}})
        small += orjson.loads((await ask(service, part)).body)["predictions"]
    for one in large + small:
        for feature in one["features"].values() if style == "detailed" else ():
            feature.pop("source")  # the store at first, then the cache
    assert large == small


async def test_failures_keep_their_places_among_thousands(service: Service) -> None:
    sent = [["C1", "M1", 1], ["C1", "M1", -1], ["nobody", "M1", 1], ["C2", "M1", 1], ["C1", "M1"]] * 400
    parameters = {"on_error": "null", "response": "detailed"}
    answer = await ask(service, orjson.dumps({"instances": sent, "parameters": parameters}))
    found = orjson.loads(answer.body)["predictions"]
    assert [one["error"]["status"] if "error" in one else one["entity_id"]["customer_id"] for one in found[:5]] == [
        "C1", 422, 404, "C2", 422,
    ]  # fmt: skip
    assert [one.get("error", {}).get("index") for one in found] == [
        at if at % 5 in (1, 2, 4) else None for at in range(2_000)
    ]


@pytest.mark.parametrize("after", [1, 20, 60, 100, 150])
async def test_a_large_request_whose_deadline_passes_ends_at_the_next_slice(
    service: Service, clock: ManualClock, after: int
) -> None:
    asked = asyncio.ensure_future(ask(service, body(4_000), detailed=True))
    for _ in range(after):
        await asyncio.sleep(0)
    assert not asked.done()
    clock.advance(1)
    left = await turns_during(asked)
    with pytest.raises(DeadlineExceeded):
        await asked
    assert left < 30  # a read that is under way is waited for no longer either
    assert service.pipeline.admission.in_flight == 0


async def test_a_budget_that_the_body_names_holds_while_its_instances_are_read(
    service: Service, clock: ManualClock
) -> None:
    long, short = (asyncio.ensure_future(ask(service, body(4_000, timeout_ms=ms))) for ms in (5_000, 100))
    for _ in range(20):
        await asyncio.sleep(0)
    clock.advance(0.2)
    for _ in range(8):  # until the next slice of each
        await asyncio.sleep(0)
    assert short.done()
    with pytest.raises(DeadlineExceeded, match="worked on"):
        await short
    clock.advance(2)  # more than a request has that names none
    assert not long.done()
    assert len(orjson.loads((await long).body)["predictions"]) == 4_000


@pytest.mark.parametrize("after", [1, 20, 60, 100, 150])
async def test_a_large_request_that_is_cancelled_gives_everything_back(
    service: Service, settle: Callable[[], Any], after: int
) -> None:
    before = asyncio.all_tasks()
    asked = asyncio.ensure_future(ask(service, body(4_000), detailed=True))
    for _ in range(after):
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert service.pipeline.admission.in_flight == 0
    for _ in range(10):  # the reads that it began are finished, for whoever comes next
        await settle()
    assert asyncio.all_tasks() == before
    answer = await ask(service, body(SLICE))
    assert len(orjson.loads(answer.body)["predictions"]) == SLICE
