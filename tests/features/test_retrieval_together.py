"""Many keys whose rows are all in memory are found together: the same rows, and the same that is told of them."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from features.clock import ManualClock
from features.deadline import Deadline
from features.events import CacheLookedUp, Event
from features.found_rows import FoundRows
from features.freshness import Bounds
from features.keys import KeyPart
from features.planning import Lookup
from features.retrieval import Retrieval
from features.spec import Entity, FeatureView
from features.stores.memory import MemoryStore
from features.values import EntityKey, Retrieved

pytestmark = pytest.mark.anyio

KEYS = [f"C{number}" for number in range(80)]


class Bench:
    """A retrieval over several views of a store whose rows say whose they are."""

    def __init__(self, clock: ManualClock, *views: FeatureView, max_rows: int = 100) -> None:
        self.store, self.views, self.clock = MemoryStore(), views, clock
        self.events: list[Event] = []
        self.retrieval = Retrieval(views, self.store, clock, self, max_rows=max_rows, read_timeout_s=1.0)

    def observe(self, event: Event, /) -> None:
        self.events.append(event)

    def put(self, view: FeatureView, keys: Sequence[EntityKey], city: str) -> None:
        for key in keys:
            self.store.put(view.name, key, {"city": f"{city} of {key}", "balance": 1.0})

    async def read(self, *lookups: Lookup) -> list[Sequence[Retrieved]]:
        return await self.retrieval.retrieve(lookups, Bounds(), Deadline.after(1.0, self.clock))

    def remembered(self, *lookups: Lookup) -> list[Sequence[Retrieved]] | None:
        self.events.clear()
        return self.retrieval.remembered(lookups, Bounds())


def _cities(rows: Sequence[Retrieved]) -> list[object]:
    return [None if one.row is None else one.row.exact[1] for one in rows]


def _named(view: FeatureView, name: str, entity: Entity | None = None) -> FeatureView:
    return dataclasses.replace(view, name=name, entity=entity or view.entity)


async def test_rows_found_together_are_those_that_were_read(view: FeatureView, clock: ManualClock) -> None:
    bench = Bench(clock, view)
    bench.put(view, KEYS[:78], "Oslo")
    keys = [*KEYS[70:], *KEYS, "C0"]
    (read,) = await bench.read(Lookup(view, keys))
    assert await bench.read(Lookup(view, keys)) is not None
    found = bench.remembered(Lookup(view, keys))
    assert found is not None
    assert isinstance(found[0], FoundRows)
    assert _cities(found[0]) == _cities(read)
    assert bench.events == [CacheLookedUp("account", fresh=78, negative=2)]


async def test_nothing_is_found_together_where_one_row_is_unknown_or_not_fresh(
    view: FeatureView, clock: ManualClock
) -> None:
    bench = Bench(clock, view)
    bench.put(view, KEYS, "Oslo")
    await bench.read(Lookup(view, KEYS[1:]))
    assert bench.remembered(Lookup(view, KEYS)) is None
    clock.advance(5)
    await bench.read(Lookup(view, KEYS[:1]))
    assert bench.remembered(Lookup(view, KEYS)) is not None
    clock.advance(5)
    assert bench.remembered(Lookup(view, KEYS)) is None
    assert bench.remembered(Lookup(view, KEYS[:1] * 80)) is not None


async def test_an_absence_counts_for_its_own_ttl(view: FeatureView, clock: ManualClock) -> None:
    bench = Bench(clock, view)
    bench.put(view, KEYS[:79], "Oslo")
    await bench.read(Lookup(view, KEYS))
    clock.advance(4)
    assert bench.remembered(Lookup(view, KEYS)) is not None
    clock.advance(1)
    assert bench.remembered(Lookup(view, KEYS)) is None


async def test_views_of_one_entity_find_their_own_rows(view: FeatureView, clock: ManualClock) -> None:
    other = _named(view, "activity")
    bench = Bench(clock, view, other)
    bench.put(view, KEYS[:70], "Oslo")
    bench.put(other, KEYS[10:], "Lima")
    lookups = Lookup(view, KEYS), Lookup(other, KEYS)
    read = await bench.read(*lookups)
    found = bench.remembered(*lookups)
    assert found is not None
    assert list(map(_cities, found)) == list(map(_cities, read))
    assert _cities(found[1])[9:11] == [None, "Lima of C10"]
    assert bench.events == [
        CacheLookedUp("account", fresh=70, negative=10),
        CacheLookedUp("activity", fresh=70, negative=10),
    ]


async def test_entities_whose_keys_are_the_same_texts_are_not_taken_for_each_other(
    view: FeatureView, clock: ManualClock
) -> None:
    """A sender and a receiver may both be named by one key column: then even the list of keys is the same one."""
    other = _named(view, "receiver", Entity("receiver", (KeyPart("customer_id"),)))
    bench = Bench(clock, view, other)
    bench.put(view, KEYS, "Oslo")
    bench.put(other, KEYS, "Lima")
    await bench.read(Lookup(other, list(reversed(KEYS))))
    lookups = Lookup(view, KEYS), Lookup(other, KEYS)
    await bench.read(*lookups)
    found = bench.remembered(*lookups)
    assert found is not None
    assert _cities(found[0]) == [f"Oslo of {key}" for key in KEYS]
    assert _cities(found[1]) == [f"Lima of {key}" for key in KEYS]


async def test_who_makes_room_leaves_every_view_of_its_entity(view: FeatureView, clock: ManualClock) -> None:
    other = _named(view, "activity")
    bench = Bench(clock, view, other, max_rows=80)
    for one in (view, other):
        bench.put(one, [*KEYS, "new"], "Oslo")
    await bench.read(Lookup(view, KEYS), Lookup(other, KEYS))
    await bench.read(Lookup(view, ["new"]))
    assert bench.retrieval.cached_rows() == {"account": 80, "activity": 79}
    await bench.read(Lookup(other, ["new"]))
    assert bench.retrieval.cached_rows() == {"account": 80, "activity": 80}
    lost = [key for key in KEYS if bench.remembered(Lookup(view, [key])) is None]
    assert lost == [key for key in KEYS if bench.remembered(Lookup(other, [key])) is None]
    assert len(lost) == 1


async def test_few_keys_of_one_entity_beside_many_of_another_find_their_own_rows(
    view: FeatureView, clock: ManualClock
) -> None:
    """A chunk of a file has each key once, and so many customers, but few merchants."""
    merchant = _named(view, "merchant", Entity("merchant", (KeyPart("merchant_id"),)))
    bench = Bench(clock, view, merchant)
    bench.put(view, KEYS, "Oslo")
    bench.put(merchant, KEYS, "Lima")
    lookups = Lookup(view, KEYS), Lookup(merchant, KEYS[7:9]), Lookup(view, KEYS)
    for order in (lookups, (lookups[1], *lookups)):
        read = await bench.read(*order)
        found = bench.remembered(*order)
        assert found is not None
        assert list(map(_cities, found)) == list(map(_cities, read))


async def test_a_key_that_only_another_view_has_a_row_of_is_absent(view: FeatureView, clock: ManualClock) -> None:
    other = _named(view, "activity")
    bench = Bench(clock, view, other, max_rows=5_000)
    many = [f"C{number}" for number in range(3_000)]
    bench.put(view, many, "Oslo")
    bench.put(other, many[:100], "Lima")
    for start in range(0, 3_000, 500):
        keys = many[start : start + 500]
        await bench.read(Lookup(view, keys), Lookup(other, keys))
    asked = [*many[:70], *many[2_900:2_910]]
    found = bench.remembered(Lookup(other, asked))
    assert found is not None
    assert isinstance(found[0], FoundRows)
    assert _cities(found[0]) == [f"Lima of {key}" for key in many[:70]] + [None] * 10
    block = found[0].block()
    assert block is not None
    assert block.texts[:, 0].tolist() == _cities(found[0])
    assert np.isnan(block.numbers[70:]).all()


async def test_a_key_that_was_seen_once_leaves_before_one_that_is_used(view: FeatureView, clock: ManualClock) -> None:
    """Though each of its views puts a row there."""
    other = _named(view, "activity")
    bench = Bench(clock, view, other, max_rows=80)
    scanned = [f"scanned-{number}" for number in range(200)]
    for one in (view, other):
        bench.put(one, [*KEYS, *scanned], "Oslo")
    await bench.read(Lookup(view, KEYS), Lookup(other, KEYS))
    used = KEYS[:10]
    for key in scanned:
        for kept in used:
            bench.remembered(Lookup(view, [kept]), Lookup(other, [kept]))
        await bench.read(Lookup(view, [key]), Lookup(other, [key]))
    assert bench.remembered(*(Lookup(view, [key]) for key in used)) is not None


async def test_a_key_that_has_no_row_any_more_takes_no_place_from_others(view: FeatureView, clock: ManualClock) -> None:
    other = _named(view, "activity")
    bench = Bench(clock, view, other, max_rows=80)
    for one in (view, other):
        bench.put(one, KEYS, "Oslo")
    await bench.read(Lookup(view, KEYS), Lookup(other, KEYS))
    new = [f"new-{number}" for number in range(20)]
    for one in (view, other):
        for key in KEYS[:20]:
            bench.store.remove(one.name, key)
        bench.put(one, new, "Oslo")
    clock.advance(60)
    await bench.read(Lookup(view, KEYS), Lookup(other, KEYS))
    assert bench.retrieval.cached_rows() == {"account": 60, "activity": 60}
    await bench.read(Lookup(view, new), Lookup(other, new))
    assert bench.retrieval.cached_rows() == {"account": 80, "activity": 80}
