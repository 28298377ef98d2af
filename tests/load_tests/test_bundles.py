"""What the load tests say is true is what the service serves."""

from collections.abc import Awaitable, Callable, Iterator
from itertools import product

import numpy as np
import pytest

from load_tests.asking import KINDS, Asker
from load_tests.bench import Bench
from load_tests.bundles import PLAIN_COLUMNS, PLAIN_VIEW, Served, plain_key, plain_values
from load_tests.closed_loop import ask_all
from load_tests.generator import run_load
from load_tests.slow_clients import hold
from load_tests.stored_rows import read_rows, view_names
from load_tests.truth import plain_row

pytestmark = pytest.mark.anyio

Start = Callable[..., Awaitable[Bench]]


def test_features_of_an_entity_are_the_same_alone_and_among_others() -> None:
    among = plain_values(np.arange(1_000))
    assert (plain_values(np.array([617])) == among[617]).all()
    assert len(np.unique(among[:, 0])) > 900
    assert among.min() >= 0
    assert among.max() < 100


def test_the_store_holds_what_is_computed(small_plain: Served) -> None:
    assert view_names(small_plain.store) == [PLAIN_VIEW]
    rows = read_rows(small_plain.store, PLAIN_VIEW)
    assert rows == {plain_key(number): plain_row(number) for number in range(small_plain.entities)}
    assert tuple(next(iter(rows.values()))) == PLAIN_COLUMNS


@pytest.mark.parametrize("store", ["sqlite", "emulator"])
async def test_every_answer_of_a_service_is_what_the_oracle_expects(
    start_bench: Start, small_plain: Served, store: str
) -> None:
    bench = await start_bench(bundle=small_plain, store=store, batch_size=50)
    kinds = ["simple_warm", "simple_cold", "detailed_cold", "batch"]

    def requests() -> Iterator[bytes]:
        for number, kind in product(range(20), kinds):
            yield bench.request(kind, number)

    assert (await ask_all(bench.address, requests(), 2)).statuses == {200: 80}
    for kind in kinds:
        outcome = await run_load(bench.address, bench.maker(kind, 20), times=np.zeros(20), check=bench.oracle.check)
        assert outcome.counts() == {"200": 20}
        assert outcome.checked == 20
        assert outcome.wrong == ()
    assert any(name.startswith("keyscore_cache_rows") for name in await bench.metrics())


async def test_a_value_that_is_changed_behind_the_oracles_back_makes_answers_wrong(
    start_bench: Start, small_plain: Served
) -> None:
    bench = await start_bench(bundle=small_plain, store="sqlite", private_rows=True)
    bench.oracle.truth.change_unnoticed(PLAIN_VIEW, plain_key(3), plain_row(4))
    outcome = await run_load(
        bench.address, lambda at: bench.request("simple_cold", at), times=np.zeros(10), check=bench.oracle.check
    )
    assert [one.index for one in outcome.wrong] == [3]
    assert outcome.wrong[0].reason.startswith("seed1-3: ")


async def test_slow_connections_are_closed_by_a_service(start_bench: Start, small_plain: Served) -> None:
    bench = await start_bench(bundle=small_plain, store="sqlite", service_env={"KEYSCORE_RECEIVE_TIMEOUT_S": "0.3"})
    held = await hold(bench.address, 40, patience_s=60.0)
    assert [one.closed for one in held] == [True] * 40


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_is_the_same_whenever_it_is_made(kind: str) -> None:
    def asker(seed: int) -> Asker:
        return Asker(seed, 1_000, ("C1", "C2", "C3"), ("M1", "M2"), batch_size=10)

    asked = [asker(1).request(kind, number) for number in range(50)]
    assert asked == [asker(1).request(kind, number) for number in range(50)]
    assert len(set(asked)) == 50
    assert asked != [asker(2).request(kind, number) for number in range(50)]


def test_a_run_asks_for_nobody_whom_an_earlier_run_has_asked_for() -> None:
    asker = Asker(entities=1_000)
    first, second = asker.maker("simple_cold", 10), asker.maker("simple_cold", 10)
    assert second(0) == asker.request("simple_cold", 10)
    assert first(9) == asker.request("simple_cold", 9)
