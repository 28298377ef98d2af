"""Files score as requests do: bit by bit, failure by failure, however they are cut."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from features.clock import ManualClock
from features.errors import EntityNotFound, FeatureAbsent, FeatureUnread
from features.planning import Instances
from features.provenance import explain
from features.spec import Spec
from features.stores.memory import MemoryStore
from features.values import Source
from model.errors import ScoreNotFinite
from service.offline.scoring import Scored
from service.offline.wiring import offline_scoring
from service.parsing import RequestParser
from service.settings import Platform, Settings

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[httpx.AsyncClient]]
Orders = Callable[[int], list[dict[str, Any]]]

OLD = ", max_age: 1h"


def understood(sent: Sequence[Any], spec: Spec) -> Instances:
    request = (parser := RequestParser(spec, 100_000)).open(orjson.dumps({"instances": sent}))
    parser.read(request, 0, request.size)
    assert not request.failures
    return request.instances


async def online(client: httpx.AsyncClient, sent: Sequence[Any], path: str = "/predict") -> list[Any]:
    answer = await client.post(path, json={"instances": sent, "parameters": {"on_error": "null"}})
    assert answer.status_code == 200
    predictions: list[Any] = answer.json()["predictions"]
    return predictions


def offline(scored: Scored) -> list[Any]:
    return [None if at in scored.failures else row for at, row in enumerate(scored.scores.tolist())]


async def test_ten_thousand_mixed_instances_score_bit_by_bit_as_online(
    shop: Callable[..., Path], crowd: MemoryStore, orders: Orders, serve: Serve, clock: ManualClock
) -> None:
    bundle, sent = shop(account=OLD), orders(10_000)
    client = await serve(bundle, crowd)
    wanted = await online(client, sent)
    async with offline_scoring(Settings(bundle=str(bundle)), Platform(), store=crowd, clock=clock) as engine:
        scored = await engine.score(understood(sent, engine.bundle.spec))
    assert offline(scored) == wanted
    assert 1_000 < len(scored.failures) < 9_000
    assert sorted(scored.failures) == np.flatnonzero(np.isnan(scored.scores).any(axis=1)).tolist()
    clock.advance(5)  # from here on the service answers with stale rows
    assert await online(client, sent) == wanted


async def test_the_deployments_own_bound_on_ages_holds_for_files_too(
    shop: Callable[..., Path], crowd: MemoryStore, orders: Orders, serve: Serve, clock: ManualClock
) -> None:
    bundle, sent = shop(), orders(500)
    own = '{"max_age_s": 60}'
    wanted = await online(await serve(bundle, crowd, parameters=own), sent)
    async with offline_scoring(
        Settings(bundle=str(bundle), parameters=own), Platform(), store=crowd, clock=clock
    ) as engine:
        assert offline(await engine.score(understood(sent, engine.bundle.spec))) == wanted
        assert engine.counts.oldest_age_s == 50
    assert wanted != await online(await serve(bundle, crowd), sent)


async def test_several_threads_and_the_demos_categories_and_derived_features_score_as_online(
    small_demo: Any, serve: Serve
) -> None:
    random = Random(8)  # noqa: S311  # to be repeated, not to be unguessable
    sent = [
        [f"C{random.randrange(310):05}", f"M{random.randrange(250):05}", random.uniform(0, 900), random.choice("ab")]
        for _ in range(10_000)
    ]
    wanted = await online(await serve(small_demo.bundle, sqlite_path=small_demo.store, deadline_s=60), sent)
    settings = Settings(bundle=str(small_demo.bundle), sqlite_path=small_demo.store)
    for threads in (1, 2):
        async with offline_scoring(settings, Platform(), threads=threads) as engine:
            assert offline(await engine.score(understood(sent, engine.bundle.spec))) == wanted
    assert 5_000 < sum(one is not None for one in wanted) < 10_000


async def test_any_split_into_chunks_gives_the_same_scores(
    shop: Callable[..., Path], crowd: MemoryStore, orders: Orders, clock: ManualClock
) -> None:
    sent, random = orders(1_500), Random(9)  # noqa: S311  # same
    async with offline_scoring(Settings(bundle=str(shop())), Platform(), store=crowd, clock=clock) as engine:
        whole = offline(await engine.score(understood(sent, engine.bundle.spec)))
        for _ in range(12):
            cuts = sorted(random.sample(range(1, len(sent)), random.choice((1, 3, 60))))
            parts = [understood(sent[a:b], engine.bundle.spec) for a, b in pairwise([0, *cuts, len(sent)])]
            assert [row for part in parts for row in offline(await engine.score(part))] == whole
            clock.advance(random.choice((0, 1, 3)))


async def test_failures_are_told_by_instance_as_online(
    shop: Callable[..., Path], crowd: MemoryStore, clock: ManualClock
) -> None:
    crowd.put("account", "C1", {"balance": 1.0, "city": "a"}, clock.wall() - 10)
    crowd.put("account", "C2", {"balance": 1.0, "city": "a"}, clock.wall() - 7_200)
    sent = [{"customer_id": name, "merchant_id": "M1", "amount": 1} for name in ("C1", "C2", "C1", "C7", "nobody")]
    async with offline_scoring(Settings(bundle=str(shop(account=OLD))), Platform(), store=crowd, clock=clock) as engine:
        scored = await engine.score(understood(sent, engine.bundle.spec))
    kinds = {index: type(error) for index, error in scored.failures.items()}
    assert kinds == {1: FeatureAbsent, 3: FeatureUnread, 4: EntityNotFound}
    assert scored.scores[0].tolist() == scored.scores[2].tolist()
    assert np.isnan(scored.scores[[1, 3, 4]]).all()


async def test_who_has_no_finite_score_fails_alone_and_nothing_counts_as_used_for_it(
    shop: Callable[..., Path], overflowing: Callable[..., bytes], goods: MemoryStore, serve: Serve, clock: ManualClock
) -> None:
    goods.put("account", "C3", {"balance": 95.0, "city": "a"}, clock.wall() - 100)  # its visits have their default
    bundle = shop(overflowing)
    for names in (("C1", "C3", "C2"), ("C1", "C3", "nobody", "C2", "C3"), ("C3",)):
        sent = [{"customer_id": name, "merchant_id": "M1", "amount": 1} for name in names]
        async with offline_scoring(Settings(bundle=str(bundle)), Platform(), store=goods, clock=clock) as engine:
            scored = await engine.score(understood(sent, engine.bundle.spec))
        kinds = {index: type(error) for index, error in scored.failures.items()}
        wanted = {"C3": ScoreNotFinite, "nobody": EntityNotFound}
        assert kinds == {at: wanted[name] for at, name in enumerate(names) if name in wanted}
        assert (engine.counts.instances, engine.counts.failed) == (len(names), len(kinds))
        assert (engine.counts.defaulted, scored.assembly.defaulted) == (0, {})
        assert offline(scored) == await online(await serve(bundle, goods), sent)


async def test_when_every_instance_fails_there_are_no_scores(
    shop: Callable[..., Path], crowd: MemoryStore, clock: ManualClock
) -> None:
    sent = [{"customer_id": "nobody", "merchant_id": "M1", "amount": 1}] * 3
    async with offline_scoring(Settings(bundle=str(shop())), Platform(), store=crowd, clock=clock) as engine:
        scored = await engine.score(understood(sent, engine.bundle.spec))
    assert len(scored.failures) == 3
    assert np.isnan(scored.scores).all()


async def test_the_whole_story_of_each_instance_is_the_one_told_online(
    shop: Callable[..., Path], crowd: MemoryStore, orders: Orders, serve: Serve, clock: ManualClock
) -> None:
    bundle, sent = shop(), orders(300)
    told = await online(await serve(bundle, crowd), sent, "/predict/detailed")
    async with offline_scoring(Settings(bundle=str(bundle)), Platform(), store=crowd, clock=clock) as engine:
        scored = await engine.score(understood(sent, engine.bundle.spec))
    for index, story in enumerate(told):
        if "error" in story:
            assert index in scored.failures
            continue
        used = explain(engine.bundle.spec, scored.assembly, index)
        for name, feature in story["features"].items():
            one = used[name]
            assert (one.value, one.status, one.source, one.age_s, one.cached_s) == tuple(feature.values())
        assert story["degraded"] == scored.assembly.degraded.get(index, 0)


async def test_each_distinct_key_is_read_once_for_each_view(
    shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock
) -> None:
    sent = [{"customer_id": f"C{1 + at % 2}", "merchant_id": "M1", "amount": at} for at in range(100)]
    async with offline_scoring(Settings(bundle=str(shop())), Platform(), store=goods, clock=clock) as engine:
        scored = await engine.score(understood(sent, engine.bundle.spec))
    assert [(read.view, read.keys) for read in goods.reads] == [
        ("account", ("C1", "C2")),
        ("activity", ("C1", "C2")),
        ("risk", ("M1",)),
    ]
    assert explain(engine.bundle.spec, scored.assembly, 99)["balance"].source is Source.STORE


async def test_counts_say_what_a_closing_summary_needs(
    shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock
) -> None:
    goods.put("account", "C3", {"balance": 5.0, "city": None}, clock.wall() - 3_000)
    sent = [{"customer_id": name, "merchant_id": "M1", "amount": 1} for name in ("C1", "C3", "C3", "nobody")]
    async with offline_scoring(Settings(bundle=str(shop())), Platform(), store=goods, clock=clock) as engine:
        for _ in range(2):
            await engine.score(understood(sent, engine.bundle.spec))
        counts = engine.counts
    assert (counts.instances, counts.failed, counts.degraded) == (8, 2, 0)
    assert counts.defaulted == 4  # visits of C3, twice in each chunk; what failed was not scored with anything
    assert (counts.reads, counts.keys_read) == (3, 7)
    assert counts.absent == {
        ("account", "NULL"): 4,
        ("account", "NOT_FOUND"): 4,
        ("activity", "NOT_FOUND"): 6,
    }
    assert counts.oldest_age_s == 3_000
