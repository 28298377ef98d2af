"""Settings in, an engine out; the service's own parts, set up for jobs."""

from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from features.clock import ManualClock
from features.errors import StoreUnavailable
from features.planning import Instance, Instances
from features.stores.memory import MemoryStore
from service.errors import StartError
from service.offline.wiring import offline_scoring
from service.settings import Platform, Settings

pytestmark = pytest.mark.anyio


class Door(MemoryStore):
    """A store that knows whether it was closed."""

    __slots__ = ("closed",)

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_a_read_has_ten_seconds_whatever_a_payment_can_wait(
    shop: Callable[..., Path], clock: ManualClock
) -> None:
    store = Door()
    settings = Settings(bundle=str(shop(account=", read_timeout: 50ms")))
    async with offline_scoring(settings, Platform(), store=store, clock=clock) as engine:
        await engine.score(Instances.of([Instance(("C1", "M1"), (1.0,))]))
    # a fiftieth of a second sooner than we give up, so that the store can say what it has
    assert {round(read.deadline.at - clock.monotonic(), 6) for read in store.reads} == {9.98}
    assert store.closed


async def test_a_bundle_that_cannot_be_loaded_is_a_start_error(tmp_path: Path) -> None:
    store = Door()
    with pytest.raises(StartError, match="does not exist"):
        async with offline_scoring(Settings(bundle=str(tmp_path / "no")), Platform(), store=store):
            raise AssertionError("it must not start")
    assert store.closed


async def test_a_store_that_fails_during_the_job_is_no_start_error(shop: Callable[..., Path]) -> None:
    store = Door()
    with pytest.raises(StoreUnavailable, match="gone"):
        async with offline_scoring(Settings(bundle=str(shop())), Platform(), store=store):
            raise StoreUnavailable("gone")
    assert store.closed


async def test_reads_of_all_views_together_keep_the_pace_that_was_asked_for(
    shop: Callable[..., Path],
    goods: MemoryStore,
    clock: ManualClock,
    passing: Callable[[Awaitable[Any]], Awaitable[Any]],
) -> None:
    settings = Settings(bundle=str(shop()))
    async with offline_scoring(settings, Platform(), max_reads_per_s=20, store=goods, clock=clock) as engine:
        await passing(engine.score(Instances.of([Instance(("C1", "M1"), (1.0,))])))
    assert len(goods.reads) == 3
    assert min(later.deadline.at - sooner.deadline.at for sooner, later in pairwise(goods.reads)) >= 0.05 - 1e-9


async def test_a_row_is_used_for_as_long_as_the_service_would_and_then_read_anew(
    shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock
) -> None:
    settings = Settings(bundle=str(shop(account=", cache: {ttl: 3s, stale_while_revalidate: 7s}")))
    instances = Instances.of([Instance(("C1", "M1"), (1.0,))])
    async with offline_scoring(settings, Platform(), store=goods, clock=clock) as engine:
        for pause_s in (8.9, 1.2, 0):  # a TTL is shortened by a tenth at most
            await engine.score(instances)
            clock.advance(pause_s)
    assert [read.view for read in goods.reads].count("account") == 2
