"""The golden lines score as recorded, or the service does not start."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from model.errors import ScoringFailed
from service.bundle import Bundle, load_bundle
from service.errors import StartError
from service.golden import TOLERANCE, golden_lines, score_golden, self_test
from service.wiring import assembler_of

LINE: dict[str, Any] = {
    "instance": ["C1", "M1", 12.5],
    "rows": {
        "account": {"values": {"balance": 80.0, "city": "a"}, "event_time": 1.7e9, "event_times": {"city": 1.6e9}},
        "risk": {"values": {"rate": 33.0}, "event_time": None},
    },
    "now": 1_700_000_000.5,
    "scores": [0.5, 0.5],
}


@pytest.fixture
def bundle_with(shop: Callable[..., Path]) -> Callable[..., Bundle]:
    """`bundle_with(lines, account=…)`: the shop with these golden lines."""

    def make(lines: list[dict[str, Any]], **more: str) -> Bundle:
        folder = shop(**more)
        (folder / "golden.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
        return load_bundle(str(folder))

    return make


def recorded(bundle: Bundle) -> dict[str, Any]:
    """`LINE` with the scores that the bundle gives."""
    (line,) = golden_lines(orjson.dumps(LINE), bundle.spec)
    return LINE | {"scores": score_golden(line, assembler_of(bundle), bundle.scorer)}


def test_lines_that_score_as_recorded_pass(bundle_with: Callable[..., Bundle]) -> None:
    line = recorded(bundle_with([LINE]))
    nudged = line | {"scores": [score + TOLERANCE / 2 for score in line["scores"]]}
    bundle = bundle_with([line, nudged])
    assert self_test(bundle, assembler_of(bundle)) == 2


def test_a_bundle_without_lines_has_nothing_to_prove(shop: Callable[..., Path]) -> None:
    bundle = load_bundle(str(shop()))
    assert self_test(bundle, assembler_of(bundle)) == 0


@pytest.mark.parametrize(
    "spoil", [lambda scores: [scores[0] + 2e-9, scores[1]], lambda scores: scores[:1], lambda _: []]
)
def test_another_score_is_refused_by_line_number(
    bundle_with: Callable[..., Bundle], spoil: Callable[[list[float]], list[float]]
) -> None:
    line = recorded(bundle_with([LINE]))
    bundle = bundle_with([line, line | {"scores": spoil(line["scores"])}])
    with pytest.raises(StartError, match=r"golden\.jsonl: line 2 does not score as recorded"):
        self_test(bundle, assembler_of(bundle))


@pytest.mark.parametrize(
    "change",
    [
        {"instance": ["C1"]},
        {"instance": ["C1", "M1", -1]},
        {"rows": None},
        {"rows": {"account": 5}},
        {"rows": {"account": {"values": None}}},
        {"rows": {"account": {"values": {"balance": "much"}}}},
        {"rows": {"account": {"values": {}, "event_time": "yesterday"}}},
        {"rows": {"account": {"values": {}, "event_times": {"city": "yesterday"}}}},
        {"now": "now"},
        {"scores": 0.5},
        {"scores": [None]},
    ],
    ids=repr,
)
def test_a_line_of_another_form_is_refused_by_number(
    bundle_with: Callable[..., Bundle], change: dict[str, Any]
) -> None:
    bundle = bundle_with([LINE | change], account=", max_age: 1h")
    with pytest.raises(StartError, match=r"golden\.jsonl:1: is not a golden line"):
        self_test(bundle, assembler_of(bundle))


def test_a_line_that_lacks_a_member_or_is_no_json_is_refused(bundle_with: Callable[..., Bundle]) -> None:
    spec = bundle_with([LINE]).spec
    for data in (b"{}", b"[]", b"nonsense", orjson.dumps({"instance": ["C1", "M1", 1]})):
        with pytest.raises(StartError, match="is not a golden line"):
            list(golden_lines(data, spec))


def test_a_line_whose_policy_is_to_fail_cannot_be_scored(bundle_with: Callable[..., Bundle]) -> None:
    bundle = bundle_with([LINE | {"rows": {}}])
    with pytest.raises(StartError, match="'account' holds no row for this entity"):
        self_test(bundle, assembler_of(bundle))


def test_ages_are_taken_at_the_recorded_moment(bundle_with: Callable[..., Bundle]) -> None:
    bundle = bundle_with([LINE | {"now": 1.8e9}], account=", max_age: 1h")
    with pytest.raises(StartError, match="is older than it may be"):
        self_test(bundle, assembler_of(bundle))


class Giving:
    """A scorer that gives the same scores to every row."""

    def __init__(self, *scores: float) -> None:
        self.scores = scores

    def score(self, *_: object) -> list[tuple[float, ...]]:
        return [self.scores]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((1e8 + 1.5e-8, -3e8 - 6e-8), ""),  # another processor's last bits
        ((1e8, -3e8 - 1), "off by 3.33e-09"),
        ((1e8, float("nan")), "does not score as recorded"),
        ((float("inf"), -3e8), "off by inf"),
    ],
)
def test_large_scores_are_compared_by_their_size(
    bundle_with: Callable[..., Bundle], found: tuple[float, ...], said: str
) -> None:
    scorer: Any = Giving(*found)
    bundle = bundle_with([LINE | {"scores": [1e8, -3e8]}])
    assembler, giving = assembler_of(bundle), replace(bundle, scorer=scorer)
    if not said:
        assert self_test(giving, assembler) == 1
        return
    with pytest.raises(StartError, match=said):
        self_test(giving, assembler)


class Refusing:
    """A scorer that scores nothing."""

    def score(self, *_: object) -> None:
        raise ScoringFailed("CatBoost refused the matrix")


def test_a_line_that_the_model_refuses_cannot_be_scored(bundle_with: Callable[..., Bundle]) -> None:
    bundle = bundle_with([LINE])
    (line,) = golden_lines(orjson.dumps(LINE), bundle.spec)
    with pytest.raises(StartError, match="a line cannot be scored: CatBoost refused the matrix"):
        score_golden(line, assembler_of(bundle), Refusing())  # type: ignore[arg-type]  # a fake


@pytest.mark.parametrize("scores", [["0.1", "0.9"], [True, False], ["nan", "nan"]])
def test_a_score_that_is_no_number_is_no_golden_line(bundle_with: Callable[..., Bundle], scores: list[object]) -> None:
    bundle = bundle_with([LINE])
    with pytest.raises(StartError, match="a score must be a number"):
        list(golden_lines(orjson.dumps(LINE | {"scores": scores}), bundle.spec))


def test_a_golden_file_without_lines_is_a_truncated_bundle(bundle_with: Callable[..., Bundle]) -> None:
    bundle = replace(bundle_with([LINE]), golden=b"\n")
    with pytest.raises(StartError, match="holds no lines"):
        self_test(bundle, assembler_of(bundle))
