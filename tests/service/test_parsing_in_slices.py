"""Instances that are looked at many at once are understood, or refused, as each of them would be alone."""

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InstanceInvalid
from features.instances import InstanceParser
from features.planning import Instance
from features.spec import Spec
from service.parsing import ParsedRequest, RequestParser

_KEYS: st.SearchStrategy[Any] = st.sampled_from(
    ["C1", "007", "", "a\x00b", "é", "7", "x" * 4076, "x" * 4077, None, True, 7, 7.0, 7.5, 2**70]
)
_NUMBERS: st.SearchStrategy[Any] = st.sampled_from(
    [0, 1, 12.34, 1000, 1000.5, -1, 3.4028235e38, 1e300, 2**60, 2**64 - 1, True, "1", None]
)
_PLAIN = st.sampled_from(["C1", "C2", "M1"])


def _members(keys: st.SearchStrategy[Any], numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    texts = st.sampled_from(["note", ""]) | keys
    everything = {
        "customer_id": keys,
        "branch": keys,
        "number": numbers,
        "merchant_id": keys,
        "amount": numbers,
        "count": numbers,
        "new": st.booleans() | numbers,
        "note": texts,
        "delta": numbers,
        "channel": texts,
    }
    return st.fixed_dictionaries(everything)


@st.composite
def _instances(draw: st.DrawFn, names: tuple[str, ...]) -> list[Any]:
    """Mostly of one shape and valid, as requests are, with something odd among them now and then."""
    plain = _members(_PLAIN, st.floats(0, 100, width=32) | st.integers(1, 100))
    odd = _members(_KEYS, _NUMBERS)
    shape = draw(st.sampled_from(["object", "list", "scalar", "any"]))
    made = []
    for _ in range(draw(st.integers(0, 12))):
        members = draw(odd if draw(st.integers(0, 9)) == 0 else plain)
        one = {name: members[name] for name in names}
        which = draw(st.sampled_from(["object", "list", "scalar"])) if shape == "any" else shape
        if draw(st.integers(0, 19)) == 0:
            one.popitem()
        if draw(st.integers(0, 19)) == 0:
            one["other"] = 1
        made.append({"object": one, "list": list(one.values()), "scalar": next(iter(one.values()), None)}[which])
    return made


def _alone(parser: InstanceParser, value: Any, *, extra: bool) -> Instance | str:
    try:
        return parser.instance(value, ignore_extra=extra)
    except InstanceInvalid as error:
        return str(error)


@pytest.mark.parametrize("kind", ["string", "int64", "composite", "fields", "demo"])
@given(data=st.data())
def test_many_are_understood_like_one(spec_of: Callable[[str], Spec], kind: str, data: st.DataObject) -> None:
    spec = spec_of(kind)
    parser, alone = RequestParser(spec, 100), InstanceParser(spec)
    sent = [*data.draw(_instances(spec.input_names)), *data.draw(_instances(spec.input_names)), None]
    extra = data.draw(st.booleans())
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)))))
    body = json.dumps({"instances": sent, "parameters": {"extra": "ignore"} if extra else {}}).encode()
    request = parser.open(body)
    start = 0
    for stop in [*cuts, len(sent)]:
        parser.read(request, start, stop)
        start = stop
    found: list[Instance | str] = [""] * len(sent)
    for at, index in enumerate(request.indexes):
        found[index] = request.instances[at]
    assert len(request.instances) == len(request.indexes)
    for index, failure in request.failures.items():
        found[index] = str(failure)
    assert found == [_alone(alone, value, extra=extra) for value in orjson.loads(body)["instances"]]
    # not 7 for 7.0, nor True for 1
    assert repr(found) == repr([_alone(alone, value, extra=extra) for value in orjson.loads(body)["instances"]])


def test_what_json_made_of_an_instance_is_let_go_of(
    spec_of: Callable[[str], Spec], parsed: Callable[[RequestParser, bytes], ParsedRequest]
) -> None:
    request = parsed(RequestParser(spec_of("string"), 100), b'{"instances": ["C1", "C2", "C3", "C4", "C5", null]}')
    assert request.sent == [None] * 6
