"""What the benchmark makes of its measurements."""

import json
import math
from pathlib import Path

import pytest

from features.stores.vertex_messages import KEY_VALUE, FetchRequest
from load_tests import plots
from load_tests.baselines.bare_read import fetch_request
from load_tests.benchmark import table
from load_tests.benchmark.__main__ import Outputs, exit_code, parser, tell
from load_tests.benchmark.book import Book, LoadLine, Soundness
from load_tests.benchmark.effort import FULL, SHORT
from load_tests.benchmark.progress import Progress
from load_tests.benchmark.rows import BY_NAME, ROWS, SECTIONS, Row
from load_tests.benchmark.throughput import beyond, taking_part
from load_tests.profiles.base import RatePoint
from load_tests.verdict import Verdict, judge

MACHINE = {"date": "2026-11-22", "processor": "an abacus"}


def sound(statuses: dict[int, int], *wrong: str) -> Soundness:
    found = Soundness(checked=10, wrong=list(wrong))
    found.count(statuses)
    return found


@pytest.fixture
def book() -> Book:
    """Every bar is just met, no far goal is reached, and everybody was answered."""
    found = Book(ceiling=[50_000.0, 40_000.0])
    for row in ROWS:
        found.add(row.name, [row.bar] * 3, {"plain, requests/s": [8000.0, 9000.0, 8500.0]})
    found.lines.append(LoadLine("plain", 64, 1, 8500.0, 0.0074, 0.0121, 17_000))
    found.curves["plain"] = [RatePoint(800, 800, 0.001, 0.002), RatePoint(8000, 8000, 0.003, 0.02)]
    found.sound["plain"] = sound({200: 100})
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_who_reaches_a_far_goal_has_met_the_bar_and_not_the_other_way_round(row: Row) -> None:
    assert row.reaches(row.far, row.bar)
    assert not row.reaches(row.bar, row.far)
    assert not row.reaches(math.nan, row.bar)


def test_every_row_and_section_can_be_asked_for_by_name() -> None:
    assert parser().parse_args(["--only", *BY_NAME, *SECTIONS]).only == [*BY_NAME, *SECTIONS]
    told = parser().format_help()
    assert all(f"  {name} " in told for name in (*BY_NAME, *SECTIONS))


def test_a_row_is_judged_by_the_median_of_its_repetitions(book: Book) -> None:
    book.add("warm-plain", [1.0, 1.2, 9.0], {})
    found = book.findings["warm-plain"]
    assert (found.figure, judge(found.objective), found.far) == (1.2, Verdict.PASS, False)


def test_a_run_is_worth_what_its_worst_row_is(book: Book) -> None:
    assert exit_code(book, FULL) == 0
    book.add("start", [0.9, 1.1], {}, void="a neighbour")
    assert exit_code(book, FULL) == 2
    book.add("memory", [230.0], {})
    assert exit_code(book, FULL) == 1


def test_a_wrong_answer_and_a_missing_one_fail_a_short_run_too(book: Book) -> None:
    book.add("memory", [230.0], {})
    assert exit_code(book, SHORT) == 0, "bars are no matter of short runs"
    book.sound["plain"] = sound({200: 100, 503: 1})
    assert exit_code(book, SHORT) == 1
    book.sound["plain"] = sound({200: 100}, "E1: not its score")
    assert exit_code(book, SHORT) == 1


def test_refusals_of_a_service_whose_core_was_taken_prove_nothing(book: Book) -> None:
    book.sound["plain"] = sound({200: 100, 503: 1})
    book.neighbours["plain"] = [0.01, 0.4, 0.5]
    assert book.disturbed("plain") == "others took 40% of the core of plain"
    assert exit_code(book, FULL) == 2


def test_what_the_kernel_takes_of_a_core_is_no_neighbour() -> None:
    assert Book(neighbours={"plain": [0.04, 0.5, 0.03]}).disturbed("plain") is None


def test_only_those_whom_a_row_compares_take_turns_and_always_the_ceiling() -> None:
    assert taking_part(frozenset({"telemetry"})) == ["raw", "plain", "silent"]
    assert taking_part(frozenset({"warm-demo"})) == ["raw", "hello", "hello-thread", "demo"]


def test_a_rate_near_what_the_generator_can_ask_is_void() -> None:
    assert beyond([40_000.0, 50_000.0, 45_000.0], [30_000.0], [6_000.0]) is None
    assert (
        beyond([40_000.0], [6_000.0], [33_000.0])
        == "33,000 requests/s are more than 80% of the 40,000 that can be asked"
    )


def test_the_table_has_a_line_for_each_row_with_spread_bar_and_verdict(book: Book) -> None:
    book.add("warm-plain", [1.0, 1.2, 1.3], {})
    book.add("cold-one", [1.6, 1.7], {}, void="a neighbour")
    text = table.markdown(book, MACHINE, "make bench", FULL)
    assert f"| {BY_NAME['warm-plain'].figure} | 1.2 (1{table.DASH}1.3) | ≥ 1.1 | met | ≥ 2 | missed |" in text
    assert f"| {BY_NAME['cold-one'].figure} | 1.65 ms (1.6{table.DASH}1.7) | ≤ 1.5 ms | void | ≤ 0.8 ms |  |" in text
    assert "- `cold-one`: void: a neighbour" in text
    assert f"The closed loop gets 45,000 (40,000{table.DASH}50,000) requests/s" in text
    assert "| plain | 64 | 1 | 8,500 | 7.4 ms | 12.1 ms |" in text
    assert all(row.figure in text for row in ROWS)


def test_a_short_run_says_so_and_judges_nothing(book: Book) -> None:
    text = table.markdown(book, MACHINE, "make bench ARGS=--short", SHORT)
    assert "**A short run:" in text
    assert "met |" not in text


def test_what_was_not_asked_for_leaves_no_empty_table() -> None:
    assert "|" not in table.markdown(Book(), MACHINE, "make bench", FULL)


def test_everything_is_written_where_it_was_asked_for(book: Book, tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "new" / "REPORT.md", tmp_path / "report.json", tmp_path / "latency.svg")
    book.add("cold-one", [1.6, 1.7], {"service, p50 in ms": [7.0, 7.1]}, figure=math.nan)
    tell(book, FULL, "make bench", outputs)
    assert "# Benchmark" in outputs.markdown.read_text(encoding="utf-8")
    document = json.loads(outputs.document.read_bytes())
    rows = {row["name"]: row for row in document["rows"]}
    assert list(rows) == list(BY_NAME)
    assert rows["cold-one"] | {"measured": None, "verdict": "VOID", "samples": [1.6, 1.7]} == rows["cold-one"]
    assert rows["cold-one"]["raw"] == {"service, p50 in ms": [7.0, 7.1]}
    assert document["machine"]["python"]
    assert outputs.plot.read_text(encoding="utf-8").startswith("<svg")


def test_latency_over_rate_is_drawn_for_each_service_and_the_same_each_time_but_for_its_ids(book: Book) -> None:
    drawn = plots.latency_over_rate({**book.curves, "demo": book.curves["plain"]})
    assert all(f"{name} {line}" in drawn for name in ("plain", "demo") for line in ("p50", "p99"))


def test_the_time_left_is_that_of_the_parts_to_come_and_of_what_this_one_lacks() -> None:
    said: list[str] = []
    progress = Progress({"first": 60.0, "second": 90.0}, said.append)
    progress.begin("first")
    progress.tell("halfway", 0.5)
    progress.begin("second")
    assert said == [
        "[0:00, about 2:30 left] first",
        "[0:00, about 2:00 left] first: halfway",
        "[0:00, about 1:30 left] second",
    ]


def test_the_bare_client_asks_what_the_service_asks() -> None:
    view = "projects/load/locations/us-central1/featureOnlineStores/load/featureViews/plain"
    theirs = FetchRequest(feature_view=view, data_key={"key": "E0000007"}, data_format=KEY_VALUE)
    assert FetchRequest.FromString(fetch_request(view, "E0000007")) == theirs
