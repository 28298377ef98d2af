"""Every value of a document knows where it stands, and every error says so."""

import pytest

from features.documents import Node, nearest, parse_yaml
from features.errors import SpecError


def _node(text: str, key: str = "a") -> Node:
    return parse_yaml(text.encode(), "f.yaml").members()[key]


def test_values_know_line_path_and_file() -> None:
    root = parse_yaml(b"a:\n  b:\n    - 1\n    - {c: x}\n", "f.yaml")
    inner = root.members()["a"].members()["b"].items()[1].members()["c"]
    assert inner == Node("x", 4, "a.b[1].c", "f.yaml")
    assert inner.error("is odd").where == "f.yaml:4: a.b[1].c"
    assert root.error("is odd").where == "f.yaml:1: the document"


def test_plain_data_is_read_as_yaml_says() -> None:
    root = parse_yaml(b"a: 1\nb: 1.5\nc: true\nd: null\ne: '1'\nf: .nan\n", "f.yaml").members()
    assert [root[key].value for key in "abcde"] == [1, 1.5, True, None, "1"]
    assert root["f"].value != root["f"].value


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert "a" in parse_yaml(b"\xef\xbb\xbfa: 1", "f.yaml").members()


def test_an_alias_stands_for_what_its_anchor_holds() -> None:
    assert _node("x: &x {ttl: 2s}\na: *x\n").members()["ttl"].duration_s() == 2


@pytest.mark.parametrize(
    ("data", "where", "problem"),
    [
        (b"", "f.yaml", "is empty"),
        (b"# nothing\n", "f.yaml", "is empty"),
        (b"\xff\xfe", "f.yaml", "is not UTF-8 text"),
        (b"a: [1\nb: 2\n", "f.yaml:2", "is not YAML: "),
        (b"a: 1\n\tb: 2\n", "f.yaml:2", "is not YAML: "),
        (b"a: *nowhere\n", "f.yaml:1", "is not YAML: found undefined alias"),
        (b"a: 1\n---\nb: 2\n", "f.yaml:2", "is not YAML: but found another document"),
        (b"a: \x07\n", "f.yaml", "is not YAML that can be read"),
        (b"a: &a [*a]\n", "f.yaml", "is not YAML that can be read"),
        (b"[" * 1500, "f.yaml", "is not YAML that can be read"),
        (b"a: 1\nb:\n  c: 1\n  c: 2\n", "f.yaml:4: b.c", "is written twice; remove one"),
        (b"a: 1\na: 1\n", "f.yaml:2: a", "is written twice; remove one"),
        (b"b: 1\na: !!python/name:os.system x\n", "f.yaml:2: a", "is not plain data"),
        (b"a: !own 1\n", "f.yaml:1: a", "is not plain data"),
        (b"a: 2024-13-45\n", "f.yaml:1: a", "is not plain data"),
        (b"a: !!bool maybe\n", "f.yaml:1: a", "is not plain data"),
        (b"a: !!timestamp soon\n", "f.yaml:1: a", "is not plain data"),
        (b"a: !!int ''\n", "f.yaml:1: a", "is not plain data"),
        (b"!own 1\n", "f.yaml:1: the document", "is not plain data"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_where_it_stands(data: bytes, where: str, problem: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_yaml(data, "f.yaml")
    assert refused.value.where == where
    assert refused.value.problem.startswith(problem)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("0s", 0), ("500ms", 0.5), ("2s", 2), ("1.5m", 90), ("1h", 3600), ("7d", 604800), ("'2s'", 2)],
)
def test_durations_have_a_unit(written: str, seconds: float) -> None:
    assert _node(f"a: {written}").duration_s() == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["2", "2 s", "-2s", "s", "1h30m", "2S", "1e3s", ".5s", "", "[2s]"])
def test_anything_else_is_no_duration(written: str) -> None:
    with pytest.raises(SpecError, match="a number with a unit, such as 500ms, 2s, 5m, 1h or 7d"):
        _node(f"a: {written}").duration_s()


@pytest.mark.parametrize("written", ["1", "-2.5", "0"])
def test_numbers_are_numbers(written: str) -> None:
    assert _node(f"a: {written}").number() == float(written)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("'1'", "must be a number"),
        ("true", "must be a number"),
        ("", "must be a number"),
        (".inf", "must be a finite number"),
        (".nan", "must be a finite number"),
        ("1" + "0" * 400, "must be a finite number"),
    ],
)
def test_text_truth_and_the_infinite_are_not_numbers(written: str, problem: str) -> None:
    with pytest.raises(SpecError) as refused:
        _node(f"a: {written}").number()
    assert refused.value.problem == problem


@pytest.mark.parametrize("written", ["1", "", "yes", "1.0", "''", "[x]", "2024-01-01"])
def test_text_that_yaml_takes_for_something_else_needs_quotes(written: str) -> None:
    with pytest.raises(SpecError, match='must be text; put it in quotes, as in "1"'):
        _node(f"a: {written}").text()


def test_a_mapping_a_list_and_a_scalar_are_not_taken_for_each_other() -> None:
    with pytest.raises(SpecError, match="must be a mapping"):
        _node("a: [1]").members()
    for written in ("{b: 1}", "x", "[]"):
        with pytest.raises(SpecError, match="must be a list with at least one item"):
            _node(f"a: {written}").items()


def test_a_choice_suggests_the_nearest_option() -> None:
    assert _node("a: fail").choice(["fail", "default"]) == "fail"
    with pytest.raises(SpecError, match=r"must be one of fail, default; did you mean 'default'\?"):
        _node("a: defualt").choice(["fail", "default"])
    for written in ("", "{b: 1}", "[x]", "true"):
        with pytest.raises(SpecError, match=r"must be one of fail, default$"):
            _node(f"a: {written}").choice(["fail", "default"])


def test_only_known_keys_are_allowed_and_required_ones_must_be_there() -> None:
    assert _node("a: {ttl: 2s}").only(["ttl"], ["ttl"])["ttl"].value == "2s"
    with pytest.raises(SpecError, match=r"a\.tll: is not a known key; did you mean 'ttl'\?"):
        _node("a: {tll: 2s}").only(["ttl"])
    with pytest.raises(SpecError, match=r"a\.zzz: is not a known key; known keys are ttl, swr"):
        _node("a: {zzz: 2s}").only(["ttl", "swr"])
    with pytest.raises(SpecError, match="a: needs the key 'ttl'"):
        _node("a: {}").only(["ttl"], ["ttl"])


def test_nearest_is_silent_where_nothing_is_near() -> None:
    assert nearest("balnce", ["balance", "country"]) == "; did you mean 'balance'?"
    assert nearest("zzz", ["balance", "country"]) == ""
    assert nearest("x", []) == ""
