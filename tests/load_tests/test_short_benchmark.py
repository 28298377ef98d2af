"""A little of the benchmark, end to end: that everybody takes part and answers rightly, not how fast."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from load_tests.benchmark.__main__ import PARTS
from load_tests.benchmark.book import Soundness
from load_tests.benchmark.companion import companion
from load_tests.benchmark.contenders import examine
from load_tests.benchmark.effort import SHORT, Effort
from load_tests.benchmark.field import constant
from load_tests.benchmark.material import Material
from load_tests.benchmark.rows import BY_NAME, SECTIONS
from load_tests.benchmark.running import measured
from load_tests.bundles import Served
from load_tests.closed_loop import Asked
from load_tests.processes import ProcessFailed
from load_tests.quiet import undisturbed
from load_tests.stored_rows import read_rows
from load_tests.verdict import Verdict, overall

pytestmark = pytest.mark.anyio

LITTLE = dataclasses.replace(
    SHORT,
    repetitions=1,
    seconds=0.2,
    warm=200,
    cold=200,
    some=10,
    many=150,
    sets=2,
    singles=3,
    starts=1,
    cached=(100, 300),
    shares=(0.1,),
    rate_s=0.3,
    trees=20,
)
APART = ("offline-demo", "offline-emulator", "start", "cache")
"""Rows that start programs of their own, and ask nobody who takes turns."""


@pytest.fixture
def material(demo_served: Served, tmp_path: Path) -> Callable[[Effort, Path], Material]:
    return lambda effort, scratch: Material(effort, scratch, lambda _: None, folder=tmp_path, demo=demo_served)


async def test_everybody_answers_rightly_and_every_row_and_section_gets_its_figures(
    material: Callable[[Effort, Path], Material],
) -> None:
    rows = set(BY_NAME) - set(APART)
    with undisturbed():  # once for all: collecting the garbage of a test process takes longer than a turn
        book = await measured(PARTS, [*rows, *SECTIONS], LITTLE, make=material)
    assert set(book.findings) == rows
    assert all(math.isfinite(found.figure) for found in book.findings.values())
    assert {(line.contender, line.callers, line.ids) for line in book.lines} == {
        (name, callers, ids)
        for name in ("plain", "demo")
        for callers, ids in ((1, 1), (16, 1), (64, 1), (1, LITTLE.some), (1, LITTLE.many))
    }
    assert "÷ naive (not judged)" in book.findings["naive-warm"].note
    assert set(book.sound) == {
        "raw",
        "hello",
        "hello-thread",
        "plain",
        "silent",
        "demo",
        "naive",
        "naive-loop",
    }
    assert overall(book.soundness()) is Verdict.PASS, book.sound


async def test_files_are_scored_rightly_and_starts_and_memory_get_their_figures(
    material: Callable[[Effort, Path], Material],
) -> None:
    book = await measured(PARTS, APART, LITTLE, make=material)
    assert set(book.findings) == set(APART)
    assert all(math.isfinite(found.figure) for found in book.findings.values())
    assert set(book.sound) == {"files", "50 floats"}
    assert overall(book.soundness()) is Verdict.PASS, book.sound


def test_an_answer_that_is_not_the_expected_one_is_found_out() -> None:
    sound, head = Soundness(), b"HTTP/1.1 200 OK"
    asked = Asked(statuses={200: 2}, kept=[(b"", head, b'{"a": 1}'), (b"", head, b'{"a": 2}')])
    examine(asked, constant(b'{"a":1}'), sound)
    assert (sound.answers, sound.checked) == (2, 2)
    assert len(sound.wrong) == 1


def test_the_demo_is_served_with_as_many_customers_as_are_asked_for_and_their_own_values(
    material: Callable[[Effort, Path], Material], demo_served: Served, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    served = material(dataclasses.replace(LITTLE, warm=700), scratch).demo
    original, copies = (read_rows(one.store, "customer_account") for one in (demo_served, served))
    assert len(copies) == 3 * len(original) >= 700
    assert all(row == original[key.partition("-")[0]] for key, row in copies.items())
    assert "{ttl: 60s, " in (served.bundle / "serving.yaml").read_text(encoding="utf-8")
    assert read_rows(served.store, "merchant_risk") == read_rows(demo_served.store, "merchant_risk")


async def test_a_companion_that_ends_is_no_silence(tmp_path: Path) -> None:
    async with companion("load_tests.baselines.catboost_alone", tmp_path / "no.cbm", tmp_path / "no.npz") as ask:
        with pytest.raises(ProcessFailed, match="catboost_alone ended with exit code 1"):
            await ask(1)
