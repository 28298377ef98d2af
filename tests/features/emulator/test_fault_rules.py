"""Fault rules are read from JSON, and refused in words that help."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from features.emulator.fault_rules import PARAMETERS, FaultKind, FaultRule, FaultRuleInvalid, parse_rules, read_rules
from features.emulator.faults import Faults


def test_a_rule_has_its_kinds_parameters_shipped_or_given() -> None:
    (rule,) = parse_rules([{"kind": "latency", "ms": 5, "view": "account", "share": 0.5}])
    assert (rule.kind, rule.share, rule.view, rule.times, rule.keys) == (FaultKind.LATENCY, 0.5, "account", None, ())
    assert (rule["ms"], rule["jitter_ms"]) == (5, 0.0)
    assert FaultRule(FaultKind.STALE)["age_s"] == 86_400.0


@pytest.mark.parametrize("kind", list(FaultKind))
def test_every_kind_can_be_written_down_and_read_back(kind: FaultKind) -> None:
    document = {"kind": kind, "keys": ["C1", ["C1", "M1"]], "times": 3, "seed": -1, "method": "FetchFeatureValues"}
    (rule,) = parse_rules([document])
    assert rule.keys == ("C1", ("C1", "M1"))
    (again,) = parse_rules(orjson.loads(orjson.dumps([rule.to_json()])))
    assert again == rule
    assert set(rule.parameters) == set(PARAMETERS[kind])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "the faults must be a list of rules"),
        ("latency", "the faults must be a list of rules"),
        (["latency"], "rule 1 must be an object such as {'kind': 'latency', 'ms': 5}"),
        ([{"ms": 5}], "rule 1: kind must be one of latency, error,"),
        ([{"kind": "lag"}], "not 'lag'"),
        ([{"kind": ["latency"]}], "not ['latency']"),
        ([{"kind": "latency"}, {"kind": "latency", "code": 3}], "rule 2: latency has no 'code'; it takes share, view"),
        ([{"kind": "latency", "share": 1.5}], "share must be a number from 0 to 1, not 1.5"),
        ([{"kind": "latency", "share": True}], "share must be a number from 0 to 1, not True"),
        ([{"kind": "latency", "ms": -1}], "ms must be a number, 0 or more, not -1"),
        ([{"kind": "latency", "times": 0}], "times must be a whole number, 1 or more, not 0"),
        ([{"kind": "latency", "seed": "x"}], "seed must be a whole number, not 'x'"),
        ([{"kind": "latency", "view": 3}], "view must be text, not 3"),
        ([{"kind": "latency", "keys": "C1"}], "keys must be a list of keys"),
        ([{"kind": "latency", "keys": [["C1"]]}], "keys must be a list of keys"),
        ([{"kind": "latency", "method": "Fetch"}], "method must be one of FetchFeatureValues, StreamingFetch"),
        ([{"kind": "error", "code": "OOPS"}], "code must be one of CANCELLED, UNKNOWN"),
        ([{"kind": "error", "per_key": 1}], "per_key must be true or false, not 1"),
        ([{"kind": "stale", "features": "balance"}], "features must be a list of names, not 'balance'"),
    ],
)
def test_what_is_no_rule_is_refused_by_name(document: Any, words: str) -> None:
    with pytest.raises(FaultRuleInvalid) as refused:
        parse_rules(document)
    assert words in str(refused.value)


def test_rules_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text('[{"kind": "black_hole"}]')
    assert read_rules(file) == (FaultRule(FaultKind.BLACK_HOLE),)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), ("[", "is not JSON"), ('[{"kind": "x"}]', "rule 1: kind")]
)
def test_a_file_that_holds_no_rules_is_named(tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "faults.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(FaultRuleInvalid, match=r"faults\.json") as refused:
        read_rules(file)
    assert words in str(refused.value)


def _struck(rule: dict[str, Any], calls: int, **call: Any) -> list[bool]:
    faults = Faults(parse_rules([rule]))
    asked = {"method": "FetchFeatureValues", "view": "account", "keys": ["C1"], **call}
    return [bool(faults.strike(**asked)) for _ in range(calls)]


def test_a_share_of_the_calls_is_struck_and_the_same_ones_again_with_the_same_seed() -> None:
    first = _struck({"kind": "empty", "share": 0.1, "seed": 1}, 2_000)
    assert 150 < sum(first) < 250
    assert first == _struck({"kind": "empty", "share": 0.1, "seed": 1}, 2_000)
    assert first != _struck({"kind": "empty", "share": 0.1, "seed": 2}, 2_000)
    assert not any(_struck({"kind": "empty", "share": 0}, 100))


def test_after_so_many_hits_a_rule_is_over() -> None:
    assert _struck({"kind": "empty", "times": 2}, 4) == [True, True, False, False]


@pytest.mark.parametrize(
    ("given", "call", "struck"),
    [
        ({"view": "account"}, {}, True),
        ({"view": "other"}, {}, False),
        ({"method": "StreamingFetchFeatureValues"}, {}, False),
        ({"keys": ["C2"]}, {}, False),
        ({"keys": ["C2"]}, {"keys": ["C1", "C2"]}, True),
        ({"keys": [["C1", "M1"]]}, {"keys": ['["C1","M1"]']}, True),
    ],
)
def test_filters_say_which_calls_are_meant(given: dict[str, Any], call: dict[str, Any], struck: bool) -> None:  # noqa: FBT001  # an expected value
    assert _struck({"kind": "empty", **given}, 1, **call) == [struck]
