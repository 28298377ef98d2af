"""A batch costs one read per view, an outage is waited for and then fails the bundle, and all of it travels."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.internal import pickler
from apache_beam.pvalue import TaggedOutput

from features.errors import StoreAnswerInvalid, StoreDenied, StoreFileError, StoreUnavailable
from features.stores.memory import MemoryStore
from features.stores.sqlite_writer import SqliteWriter
from features.values import DType
from model.beam.connecting import SqliteAddress
from model.beam.contract import BundleContract
from model.beam.enrichment import Demands, EnrichBatch
from model.beam.prediction import Predict

INSTANCES = [["C1", "M1", 1], ["C2", "M1", 2], ["C1", "M1", 3]]


@pytest.fixture
def bundle(shop: Callable[..., Path]) -> Path:
    return shop(account=", cache: {ttl: 0s, stale_while_revalidate: 0s}")


@pytest.fixture
def start(bundle: Path, memory_address: Any) -> Iterator[Callable[..., EnrichBatch]]:
    """`start(**demands)`: a DoFn that has been sent to a worker and set up there."""
    started: list[EnrichBatch] = []

    def begin(**demands: Any) -> EnrichBatch:
        made = EnrichBatch(BundleContract.of(str(bundle)), memory_address, Demands(**demands))
        sent: EnrichBatch = pickler.loads(pickler.dumps(made))
        sent.setup()
        started.append(sent)
        return sent

    yield begin
    for one in started:
        one.teardown()


def test_a_batch_costs_one_read_of_its_distinct_keys_per_view(
    start: Callable[..., EnrichBatch], memory: MemoryStore
) -> None:
    vectors = list(start().process(INSTANCES))
    assert [sent for sent, _ in vectors] == INSTANCES
    assert {(read.view, frozenset(read.keys)) for read in memory.reads} == {
        ("account", frozenset({"C1", "C2"})),
        ("activity", frozenset({"C1", "C2"})),
        ("risk", frozenset({"M1"})),
    }
    assert len(memory.reads) == 3


def test_an_outage_that_passes_is_waited_for(start: Callable[..., EnrichBatch], memory: MemoryStore) -> None:
    enriching = start()
    expected = list(enriching.process(INSTANCES))
    memory.fail(StoreUnavailable("gone"), reads=4)
    assert list(enriching.process(INSTANCES)) == expected


def test_an_outage_that_lasts_fails_the_bundle_and_the_next_try_may_succeed(
    start: Callable[..., EnrichBatch], memory: MemoryStore
) -> None:
    enriching = start(patience_s=1e-9)
    memory.fail(StoreUnavailable("gone"), reads=3)
    with pytest.raises(StoreUnavailable, match="could not be read"):
        list(enriching.process(INSTANCES))
    memory.heal()
    assert len(list(enriching.process(INSTANCES))) == 3


def test_a_store_that_refuses_us_fails_the_bundle_at_once(
    start: Callable[..., EnrichBatch], memory: MemoryStore
) -> None:
    enriching = start()
    memory.fail(StoreDenied("no"), reads=3)
    with pytest.raises(StoreDenied):
        list(enriching.process(INSTANCES))


def test_nonsense_about_one_entity_fails_that_instance_alone(
    start: Callable[..., EnrichBatch], memory: MemoryStore
) -> None:
    memory.spoil("account", "C2", StoreAnswerInvalid("nonsense"))
    found = list(start().process(INSTANCES))
    letters = [one.value for one in found if isinstance(one, TaggedOutput)]
    assert [letter["instance"] for letter in letters] == [INSTANCES[1]]
    assert letters[0]["error"]["detail"] == "'balance' of 'account' could not be read: nonsense"
    assert len(found) == 3


def test_a_pipeline_fails_when_the_outage_lasts(
    bundle: Path, memory_address: Any, memory: MemoryStore, predicted: Callable[..., Any]
) -> None:
    memory.fail(StoreUnavailable("gone"), reads=1_000)
    predict = Predict(BundleContract.of(str(bundle)), memory_address, Demands(patience_s=1e-9))
    with pytest.raises(Exception, match="could not be read"):
        predicted(INSTANCES, predict)


def test_a_value_too_old_for_the_pipeline_is_refused(start: Callable[..., EnrichBatch]) -> None:
    (letter,) = start(max_age_s=60.0).process([INSTANCES[0]])
    assert letter.value["error"]["type"] == "FeatureAbsent"


def test_a_store_without_what_the_bundle_asks_for_is_refused_before_anything_is_read(
    bundle: Path, tmp_path: Path
) -> None:
    with SqliteWriter(tmp_path / "other.sqlite") as writer:
        writer.replace_view("account", ("customer_id",), {"balance": DType.FLOAT}, [])
    enriching = EnrichBatch(BundleContract.of(str(bundle)), SqliteAddress(tmp_path / "other.sqlite"), Demands())
    with pytest.raises(StoreAnswerInvalid, match="the store has no view 'activity'"):
        enriching.setup()


def test_a_worker_that_could_not_set_up_may_be_torn_down(bundle: Path, tmp_path: Path) -> None:
    enriching = EnrichBatch(BundleContract.of(str(bundle)), SqliteAddress(tmp_path / "none.sqlite"), Demands())
    with pytest.raises(StoreFileError):
        enriching.setup()
    enriching.teardown()


def test_the_threads_of_a_worker_keep_one_pace_together(bundle: Path, memory_address: Any) -> None:
    made = pickler.dumps(EnrichBatch(BundleContract.of(str(bundle)), memory_address, Demands(max_reads_per_s=1e6)))
    first, second = pickler.loads(made), pickler.loads(made)
    try:
        first.setup()
        second.setup()
        assert first._reading._pace is second._reading._pace is not None
    finally:
        first.teardown()
        second.teardown()


def test_a_whole_transform_survives_the_journey(bundle: Path, shop_store: Path, predicted: Callable[..., Any]) -> None:
    made = Predict(BundleContract.of(str(bundle)), SqliteAddress(shop_store))
    sent = pickler.loads(pickler.dumps(made))
    assert len(predicted(INSTANCES, sent).predictions) == 3
