"""The instance schema and the parser agree, instance by instance; the document is valid."""

import base64
import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from features.clock import ManualClock
from features.events import Event
from features.keys import MAX_KEY_LENGTH
from features.spec import RequestField, Spec
from features.values import DType
from service.admission import Admission
from service.errors import RequestInvalid, TimeoutInvalid
from service.limits import FixedLimit
from service.openapi import _field, instance_schema, request_body, responses, timeout_header
from service.parsing import ParsedRequest, RequestParser
from service.problems import TABLE

Parsed = Callable[[RequestParser, bytes], ParsedRequest]

FORMATS = FormatChecker(formats=())


@FORMATS.checks("int64")
def is_int64(value: object) -> bool:
    """A 64-bit integer, as a string too. Source: spec.openapis.org/registry/format/int64."""
    if not isinstance(value, str):
        return True
    return value.lstrip("-").isdecimal() and value == str(int(value)) and -(2**63) <= int(value) < 2**63


KEYS: list[Any] = ["C1", "007", "7", 7, 1001.0, 2**53 + 1, 2**63, 2**64 - 1, -(2**63), -7, "-7", "-0", -0.0]
KEYS += ["", "\x00", "a\x00b", "a\nb", " 7", "9223372036854775807", "9223372036854775808", "1" * 30, 7.5, 1e300]
KEYS += [2**70, "K" * MAX_KEY_LENGTH, "K" * (MAX_KEY_LENGTH + 1), "ß" * MAX_KEY_LENGTH, True, False, None, [], {}]
B64S: list[Any] = ["Nw==", "NzA3", "Nw", "Nw=", "N w==", "NzA3=", "-_-_", "=", 5, None, ["Nw=="], {"b64": "Nw=="}]
# Three things JSON Schema cannot say: that 1e16, a float, is not 10000000000000000; what base64 holds; and, where its
# patterns are read by Python's `re`, that a line break at the end is one character too many.

ONE_KEY: list[Any] = [
    *KEYS,
    *([key] for key in KEYS),
    *({"customer_id": key} for key in KEYS),
    *({"b64": one} for one in B64S),
    {"b64": "Nw==", "customer_id": "C1"},
    {"customer_id": "C1", "other": 1},
    {"customer": "C1"},
    ["C1", "C2"],
    [["C1"]],
]
TWO_KEYS: list[Any] = [
    *KEYS,
    *([key, 7] for key in KEYS),
    *(["B7", key] for key in KEYS),
    *({"branch": "B7", "number": key} for key in KEYS),
    *({"number": "7", "branch": key} for key in KEYS),
    {"branch": "B7"},
    {"number": 7},
    {"branch": "B7", "number": 7, "more": None},
    ["B7"],
    ["B7", 7, 8],
    [7, "B7"],
]
AMOUNTS: list[Any] = [0, 12.34, -0.01, -0.0, 3.4e38, 3.5e38, 2**63, "12", None, True, [1], {}]
DEMO: list[Any] = [
    *KEYS,
    *(["C1", "M1", amount, "web"] for amount in AMOUNTS),
    *({"customer_id": "C1", "merchant_id": "M1", "amount": amount, "channel": "web"} for amount in AMOUNTS),
    *(["C1", "M1", 5, channel] for channel in ("", "\x00", "web", 5, None, True, ["web"])),
    *([key, "M1", 5, "web"] for key in KEYS),
    *({"merchant_id": key, "customer_id": "C1", "amount": 1, "channel": "w"} for key in KEYS),
    {"customer_id": "C1", "merchant_id": "M1", "amount": 5},
    {"customer_id": "C1", "merchant_id": "M1", "amount": 5, "channel": "web", "country": "NL"},
    ["C1", "M1", 5],
    ["C1", "M1", 5, "web", 1],
    ["M1"],
]
FIELDS: list[Any] = [
    *(["C1", amount, 1, True, "n", 0] for amount in (0, 1000, 1000.1, -1)),
    *(["C1", 1, count, True, "n", 0] for count in (1, 0, 2.0, 2.5, 2**63 - 1, 2**63, "3", True, None)),
    *(["C1", 1, 1, new, "n", 0] for new in (True, False, 0, 1, "true", None)),
    *(["C1", 1, 1, True, "n", delta] for delta in (-3.4e38, 3.4e38, -3.5e38, 3.5e38, 0, -1)),
]
TABLES = {"string": ONE_KEY, "int64": ONE_KEY, "composite": TWO_KEYS, "demo": DEMO, "fields": FIELDS}


@pytest.mark.parametrize("kind", TABLES)
def test_what_the_schema_admits_is_understood_and_what_it_excludes_is_refused(
    spec_of: Callable[[str], Spec], parsed: Parsed, kind: str
) -> None:
    spec = spec_of(kind)
    validator = Draft202012Validator(instance_schema(spec), format_checker=FORMATS)
    parser = RequestParser(spec, 1)
    differing = []
    for instance in TABLES[kind]:
        understood = not parsed(parser, json.dumps({"instances": [instance]}).encode()).failures
        if validator.is_valid(instance) != understood:
            differing.append((instance, understood))
    assert differing == []


def test_the_tables_are_large_enough_to_mean_something() -> None:
    assert {kind: len(table) >= 60 for kind, table in TABLES.items() if kind != "fields"} == dict.fromkeys(
        ("string", "int64", "composite", "demo"), True
    )


BODIES: list[Any] = [
    {"instances": ["C1"]},
    {"instances": ["C1"] * 3},
    {"instances": ["C1"] * 4},
    {"instances": []},
    {"instances": "C1"},
    {"instances": None},
    {},
    [],
    None,
    "C1",
    {"instances": ["C1"], "parameters": None},
    {"instances": ["C1"], "parameters": {}},
    {"instances": ["C1"], "parameters": []},
    {"instances": ["C1"], "parameters": "simple"},
    {"instances": ["C1"], "signature_name": "x"},
    *(
        {"instances": ["C1"], "parameters": {name: value}}
        for name in ("response", "max_cached_s", "max_age_s", "on_error", "on_degraded", "timeout_ms", "extra", "other")
        for value in ("simple", "detailed", "fail", "null", "allow", "refuse", "ignore", None, 0, 1, 0.5, -1, True, [])
    ),
]


def test_the_schema_of_the_whole_body_agrees_with_the_parser(spec_of: Callable[[str], Spec], parsed: Parsed) -> None:
    spec = spec_of("string")
    schema = request_body(spec, 3)["content"]["application/json"]["schema"]
    validator = Draft202012Validator(schema, format_checker=FORMATS)
    parser = RequestParser(spec, 3)

    def understood(body: Any) -> bool:
        try:
            return not parsed(parser, orjson.dumps(body)).failures
        except RequestInvalid:
            return False

    assert [body for body in BODIES if validator.is_valid(body) != understood(body)] == []


class Nobody:
    def observe(self, event: Event, /) -> None:
        """Nothing is of interest."""


TIMEOUTS = ["1", "80", "0080", "1.", "1.5", "12.50", "9" * 400, "0", "00", "0.5", "0.999", ".5", "", ".", "1.5.2"]
TIMEOUTS += ["1e3", "+5", "-5", "soon", "nan", "inf", "1_000", "0x10", " ", "5 5", "5,5", "1.-", "\u0663", "8ms"]


@pytest.mark.parametrize("sent", TIMEOUTS)
def test_the_schema_of_the_timeout_header_agrees_with_who_reads_it(clock: ManualClock, sent: str) -> None:
    admission = Admission(
        FixedLimit(1), FixedLimit(1), deadline_s=1.0, max_deadline_s=2.0, clock=clock, observer=Nobody()
    )

    def understood() -> bool:
        try:
            admission.admit([(b"content-length", b"0"), (b"x-request-timeout-ms", sent.encode())])
        except TimeoutInvalid:
            return False
        return True

    assert Draft202012Validator(timeout_header(2.0)["schema"]).is_valid(sent) == understood()


def test_a_bound_beyond_a_types_own_does_not_widen_it() -> None:
    assert _field(RequestField("x", DType.FLOAT, -1e300, 1e300))["maximum"] < 1e39
    assert _field(RequestField("x", DType.INT, -1e300, 1e300))["minimum"] == -(2**63)


def test_bytes_that_are_base64_are_admitted_whatever_they_hold(spec_of: Callable[[str], Spec]) -> None:
    validator = Draft202012Validator(instance_schema(spec_of("composite")))
    assert validator.is_valid({"b64": base64.b64encode(b"\xff").decode()})


def test_every_status_of_the_table_is_published() -> None:
    assert {row.status for row in TABLE.values()} <= set(responses(detailed=True))
