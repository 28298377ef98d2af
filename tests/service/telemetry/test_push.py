"""Metrics are sent at intervals and once more at the end, and nobody waits for a collector for longer than agreed."""

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from queue import Queue
from threading import Event
from typing import Any

import pytest

from features.clock import ManualClock, SystemClock
from service.errors import StartError
from service.log_repeats import Repeats
from service.telemetry.catalogue import Sources
from service.telemetry.drops import Drops
from service.telemetry.otlp import OtlpMetrics
from service.telemetry.push import Push
from service.telemetry.pushing import metrics_pushed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unset_otel")]

_NEVER_S = 1e6
"""An interval that no test sees the end of."""


class Exporter:
    """Notes the time that each export was given; ends as told, once it may."""

    def __init__(self, outcome: bool | Exception = True) -> None:  # noqa: FBT001, FBT002  # it is the answer itself
        self.outcome = outcome
        self.given: Queue[float | None] = Queue()
        self.may_end = Event()
        self.may_end.set()
        self.hurried = False

    def hurry(self) -> None:
        self.hurried = True

    def export(self, timeout_s: float | None = None) -> bool:
        self.given.put(timeout_s)
        assert self.may_end.wait(60)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


async def test_at_the_end_there_is_one_export_within_a_time_of_its_own() -> None:
    exporter, drops = Exporter(), Drops()
    push = Push(exporter, _NEVER_S, drops)
    push.start()
    await push.stop(SystemClock())
    assert exporter.given.qsize() == 1
    assert exporter.given.get() == 1.5
    assert exporter.hurried
    assert drops.counts()["metrics"] == 0


async def test_exports_follow_each_other_until_the_end() -> None:
    exporter = Exporter()
    push = Push(exporter, 0.001, Drops())
    push.start()
    assert [await asyncio.to_thread(exporter.given.get, timeout=60) for _ in range(3)] == [None, None, None]
    await push.stop(SystemClock())


@pytest.mark.parametrize("outcome", [False, OSError("broken")], ids=["failed", "raised"])
async def test_an_export_that_fails_is_counted_and_ends_nothing(outcome: bool | Exception) -> None:  # noqa: FBT001
    exporter, drops = Exporter(outcome), Drops()
    push = Push(exporter, 0.001, drops)
    push.start()
    for _ in range(2):
        await asyncio.to_thread(exporter.given.get, timeout=60)
    await push.stop(SystemClock())
    assert drops.counts()["metrics"] >= 3


async def test_an_end_that_takes_too_long_is_not_waited_for(
    clock: ManualClock, settle: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    """The loop turns meanwhile, the loss is counted, and the export that comes to its end later harms nobody."""
    exporter, drops = Exporter(), Drops()
    exporter.may_end.clear()
    push = Push(exporter, _NEVER_S, drops, bound_s=2.0)
    push.start()
    stopping = asyncio.create_task(push.stop(clock))
    await asyncio.to_thread(exporter.given.get, timeout=60)
    clock.advance(1.9)
    await settle()
    assert not stopping.done()
    clock.advance(0.2)
    await stopping
    assert drops.counts()["metrics"] == 1
    assert "did not end within 2 s" in caplog.text
    exporter.may_end.set()
    await asyncio.to_thread(push._thread.join, 60)
    assert not push._thread.is_alive()


async def test_without_an_endpoint_nothing_is_sent_and_nobody_is_called(sources: Sources) -> None:
    async with metrics_pushed(None, 0.001, sources, SystemClock()):
        await asyncio.sleep(0)
    assert sources.drops.counts()["metrics"] == 0


async def test_a_collector_gets_the_state_at_intervals_and_at_the_end(collector: Any, sources: Sources) -> None:
    async with metrics_pushed(collector.url, 0.01, sources, SystemClock()):
        await asyncio.to_thread(collector.posts.get, timeout=60)
        sent = collector.posts.qsize()
    assert collector.posts.qsize() >= sent + 1
    assert sources.drops.counts()["metrics"] == 0


@pytest.fixture
def refusing_url() -> str:
    """Nobody listens there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def black_hole_url() -> Iterator[str]:
    """Connections are accepted, by the system, and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_collector_that_is_not_there_is_counted_and_what_is_said_of_it_again_is_held_back(
    refusing_url: str, sources: Sources, caplog: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    """The clock stands still, so all that is logged is logged within one minute."""
    caplog.set_level(logging.WARNING)
    otlp = OtlpMetrics(refusing_url, sources, clock)
    async with metrics_pushed(refusing_url, _NEVER_S, sources, clock):
        for _ in range(2):
            assert not await asyncio.to_thread(otlp.export, 0.5)
    assert sources.drops.counts()["metrics"] == 1  # the last export, which `metrics_pushed` made
    kinds = {(one.name, one.msg) for one in caplog.records}
    assert kinds
    repeats = Repeats(clock.monotonic)
    assert sum(map(repeats.lets, caplog.records * 3)) == len(kinds)


async def test_a_black_hole_ends_an_export_at_its_time(black_hole_url: str, sources: Sources) -> None:
    assert not await asyncio.to_thread(OtlpMetrics(black_hole_url, sources, SystemClock()).export, 0.05)


async def test_a_black_hole_is_left_behind_at_the_end(
    black_hole_url: str, sources: Sources, clock: ManualClock, settle: Callable[[], Awaitable[None]]
) -> None:
    async def run() -> None:
        async with metrics_pushed(black_hole_url, _NEVER_S, sources, clock):
            pass

    ending = asyncio.create_task(run())
    await settle()
    assert not ending.done()
    clock.advance(2.0)
    await ending
    assert sources.drops.counts()["metrics"] >= 1


async def test_an_exporter_that_cannot_be_made_is_an_error_at_the_start(
    collector: Any, sources: Sources, unset_otel: Callable[..., None]
) -> None:
    unset_otel(OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER="nobody")
    with pytest.raises(StartError, match=r"metrics cannot be pushed: .*nobody"):
        async with metrics_pushed(collector.url, 1.0, sources, SystemClock()):
            """Never reached."""


async def test_without_an_endpoint_opentelemetry_is_not_imported() -> None:
    """A fresh interpreter imports all that a server imports."""
    heavy = "('opentelemetry.sdk', 'opentelemetry.exporter')"
    code = f"import sys, service.__main__; print([name for name in sys.modules if name.startswith({heavy})])"
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    said, _ = await ended.communicate()
    assert said.decode().strip() == "[]"
