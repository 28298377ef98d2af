"""Bytes to a request: what is not JSON, what is not a request, and which parameters there are."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from features.spec import Spec
from service.errors import BodyMalformed, RequestInvalid
from service.parameters import parse_parameters
from service.parsing import ParsedRequest, RequestParser
from service.schemas import Parameters

Parsed = Callable[[RequestParser, bytes], ParsedRequest]

NOT_JSON = {
    "empty": b"",
    "truncated": b'{"instances": ["C1"',
    "UTF-16": '{"instances": ["C1"]}'.encode("utf-16"),
    "UTF-32": '{"instances": ["C1"]}'.encode("utf-32"),
    "a BOM": b"\xef\xbb\xbf" + b'{"instances": ["C1"]}',
    "NaN": b'{"instances": [NaN]}',
    "Infinity": b'{"instances": [Infinity]}',
    "1e400": b'{"instances": [1e400]}',
    "5,000 digits": b'{"instances": [' + b"7" * 5000 + b"]}",
    "10,000 levels": b'{"instances": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "a lone surrogate": b'{"instances": ["\\ud800"]}',
    "bad UTF-8": b'{"instances": ["\xff"]}',
    "a raw NUL": b'{"instances": ["\x00"]}',
    "gzip": b"\x1f\x8b\x08\x00\x00",
    "two values": b'{"instances": ["C1"]} {}',
    "a comment": b'{"instances": ["C1"]} // hello',
}


@pytest.fixture
def parser(spec_of: Callable[[str], Spec]) -> RequestParser:
    return RequestParser(spec_of("string"), max_instances=3)


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_in_utf8_is_refused_without_being_quoted(parser: RequestParser, body: bytes) -> None:
    with pytest.raises(BodyMalformed, match="the body is not JSON text in UTF-8") as caught:
        parser.open(body)
    assert "C1" not in str(caught.value)
    assert "777" not in str(caught.value)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([], 'must be an object with a list "instances"'),
        ("C1", 'must be an object with a list "instances"'),
        (None, 'must be an object with a list "instances"'),
        ({}, 'must be an object with a list "instances"'),
        ({"instance": ["C1"]}, 'must be an object with a list "instances"'),
        ({"instances": "C1"}, "at least one instance"),
        ({"instances": []}, "at least one instance"),
        ({"instances": {"customer_id": "C1"}}, "at least one instance"),
        ({"instances": ["C1"] * 4}, "more than 3 instances"),
        ({"instances": ["C1"], "signature_name": "x"}, "nothing else"),
        ({"instances": ["C1"], "parameters": []}, '"parameters" must be an object'),
    ],
)
def test_json_that_is_no_request_is_refused(parser: RequestParser, sent: Any, said: str) -> None:
    with pytest.raises(RequestInvalid, match=said):
        parser.open(json.dumps(sent).encode())


def test_of_a_key_that_is_written_twice_the_last_wins(parser: RequestParser, parsed: Parsed) -> None:
    body = b'{"instances": ["C1"], "instances": [{"customer_id": "C2", "customer_id": "C3"}]}'
    assert parsed(parser, body).instances.keys == (["C3"],)


def test_instances_that_cannot_be_understood_are_remembered_by_their_index(
    parser: RequestParser, parsed: Parsed
) -> None:
    found = parsed(parser, b'{"instances": ["C1", null, "C3"]}')
    assert found.instances.keys == (["C1", "C3"],)
    assert found.indexes == [0, 2]
    assert set(found.failures) == {1}
    assert found.size == 3


@pytest.mark.parametrize("sent", [None, {}])
def test_no_parameters_are_the_shipped_ones(sent: Any) -> None:
    assert parse_parameters(sent) == Parameters()


def test_every_parameter_is_understood() -> None:
    found = parse_parameters(
        {
            "response": "detailed",
            "max_cached_s": 0,
            "max_age_s": 1.5,
            "on_error": "null",
            "on_degraded": "fail",
            "timeout_ms": 50,
            "extra": "ignore",
        }
    )
    assert found == Parameters(
        response="detailed",
        max_cached_s=0,
        max_age_s=1.5,
        on_error="null",
        on_degraded="fail",
        timeout_ms=50,
        extra="ignore",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("response", "verbose"),
        ("response", 1),
        ("max_cached_s", -1),
        ("max_cached_s", "0"),
        ("max_cached_s", True),
        ("max_age_s", -0.001),
        ("on_error", None),
        ("on_error", "skip"),
        ("on_degraded", "maybe"),
        ("timeout_ms", 0),
        ("timeout_ms", -5),
        ("extra", "keep"),
    ],
)
def test_a_bad_parameter_is_named_and_its_value_is_not(name: str, value: Any) -> None:
    with pytest.raises(RequestInvalid, match=f"parameters: '{name}'") as caught:
        parse_parameters({name: value})
    assert not isinstance(value, str) or value == "0" or value not in str(caught.value)


def test_an_unknown_parameter_is_refused_by_naming_the_known_ones() -> None:
    with pytest.raises(RequestInvalid, match="parameters may hold response, max_cached_s") as caught:
        parse_parameters({"treshold": 0.5})
    assert "treshold" not in str(caught.value)
