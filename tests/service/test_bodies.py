"""A body means the same whether its plain objects are decoded at once or through dicts: values, types and words."""

import math
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.spec import Spec, single_view_spec
from service.errors import BodyMalformed, RequestInvalid
from service.parsing import RequestParser

KINDS = ["string", "int64", "composite", "fields", "demo"]

PLAIN = ['"C1"', '"007"', '"7"', "7", "0", "1", "12.34", "3.0", "true", '"web"']
ODD = [
    *("-0", "-0.0", "1e2", "1E-2", "0.1e1", "5e-324", "2.4703282292062327e-324", "1e-400", "1.7976931348623157e308"),
    *("1e23", "16777217", "9007199254740991.0", "9007199254740993", "9007199254740993.0", "3.4028235677973366e38"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    *("18446744073709551615", "18446744073709551616", "7" * 20, "7" * 30, "-" + "7" * 30, "7" * 400, "7" * 5000),
    *("1e400", "-1e400", "NaN", "Infinity", "-Infinity", "nan", "01", "-01", "+1", ".5", "5.", "1e", "1e+", "0x1"),
    *("null", "false", "True", "tru", "", "[]", "{}", '["C1"]', '{"b64": "QzE="}', "[" * 2000, '"' + "x" * 4077 + '"'),
    *('""', '"é"', '"\u2028"', '"\x7f"', '"\U0001f600"', '"a\x00b"', '"a\x1fb"', '"a\tb"', "'C1'", '"C1', '"\ufeff"'),
    *(r'"\u0043\u0031"', r'"\ud83d\ude00"', r'"\ud800"', r'"\udc00"', r'"\ude00\ud83d"', r'"\ud800\ud800"'),
    *(r'"\ud800x"', r'"\u0000"', r'"\n\t\b\f\r\/\\\""', r'"\U0043"', r'"\x43"', r'"\u00"', r'"\u004g"'),
]  # fmt: skip
BLANKS = ["", " ", "\n\t\r "]
NO_BLANKS = ["\x0b", "\xa0", "\ufeff", "/**/", "\x00", "{}", "x", ","]
PARAMETERS = [
    *("null", "{}", '{"on_error": "null"}', '{"extra": "ignore"}', '{"max_age_s": 1e23}', '{"timeout_ms": 5}'),
    *('{"max_cached_s": 18446744073709551616}', '{"max_age_s": ' + "7" * 30 + "}", '{"timeout_ms": true}', '{"x": []}'),
    *('{"extra": "ignore", "extra": "refuse"}', r'{"\u0065xtra": "ignore"}', r'{"\ud800": 1}', '{"timeout_ms": NaN}'),
    *("[]", "1", '"x"', '{"timeout_ms": -0}', '{"timeout_ms": 1e400}', '{"response": null}', '{"a\x00": 1}', "{"),
    '{"extra": ' + "[" * 2000 + "]" * 2000 + "}",
]  # fmt: skip


def rarely(draw: st.DrawFn, one_in: int) -> bool:
    return draw(st.integers(1, one_in)) == one_in


def between(draw: st.DrawFn) -> str:
    """What stands between tokens: nothing or a blank, and now and then what must not."""
    return draw(st.sampled_from(NO_BLANKS if rarely(draw, 60) else BLANKS))


@st.composite
def members(draw: st.DrawFn, names: tuple[str, ...], likely: list[str], odd_one_in: int) -> str:
    """An object with the declared members, most often."""
    order = list(draw(st.permutations(names))) if rarely(draw, 8) else list(names)
    if rarely(draw, odd_one_in):
        order.append(draw(st.sampled_from([*names, "other", "b64", "Customer_id", ""])))
    if rarely(draw, 2 * odd_one_in):
        order.pop(0)
    written = []
    for name in order:
        value = draw(st.sampled_from(ODD if rarely(draw, odd_one_in) else likely))
        at = len(name) // 2
        escaped = rf"{name[:at]}\u{ord(name[at]):04x}{name[at + 1 :]}" if name and rarely(draw, 20) else name
        blank = between(draw) if rarely(draw, 20) else ""
        written.append(f'{blank}"{escaped}"{blank}:{value}{blank}')
    return "{" + ",".join(written) + "}"


@st.composite
def bodies(draw: st.DrawFn, names: tuple[str, ...]) -> bytes:
    """Mostly plain objects, with something odd in every second of them."""
    likely = draw(st.sampled_from([PLAIN, ['"C1"', '"C2"'], ["1", "2.5"], ['"7"', "1"]]))
    odd_one_in = draw(st.sampled_from([8, 100, 100]))
    other = st.sampled_from(['"C1"', "7", '["C1"]', "null", '{"b64": "QzE="}', "[]", "{}"])
    one = members(names, likely, odd_one_in)
    sent = [draw(other) if rarely(draw, 4 * odd_one_in) else draw(one) for _ in range(draw(st.integers(1, 7)))]
    parts = [f'"instances":{between(draw)}[{between(draw)}{",".join(sent)}{between(draw)}]']
    for _ in range(draw(st.sampled_from([0, 1, 1, 2]))):
        parameters = draw(st.sampled_from(PARAMETERS if rarely(draw, 4) else PARAMETERS[:5]))
        parts.insert(draw(st.integers(0, len(parts))), f'"parameters":{between(draw)}{parameters}')
    if rarely(draw, 16):
        more = st.sampled_from(['"instances": []', '"instances": ["C1"]', '"other": 1', '"instances": 1', ""])
        parts.insert(draw(st.integers(0, len(parts))), draw(more))
    body = (between(draw) + "{" + ",".join(parts) + "}" + between(draw)).encode()
    return draw(mutated(body)) if rarely(draw, 4) else body


@st.composite
def mutated(draw: st.DrawFn, body: bytes) -> bytes:
    """Some bytes of it are others."""
    at, cut = draw(st.integers(0, len(body))), draw(st.integers(0, 2))
    other = st.binary(max_size=2) | st.sampled_from([b"\xff", b"\xed\xa0\x80", b"\\", b'"', b"0", b"-", b"e"])
    return body[:at] + draw(other) + body[at + cut :]


def outcome(parser: RequestParser, body: bytes, step: int) -> str:
    """All that a body means, with the types of its values (7 is not 7.0, nor True 1), or the words of its refusal."""
    try:
        request = parser.open(body)
    except (BodyMalformed, RequestInvalid) as error:
        return repr((type(error), str(error)))
    for start in range(0, request.size, step):
        parser.read(request, start, min(start + step, request.size))
    failures = {at: (type(one), str(one), one.field, one.keys) for at, one in request.failures.items()}
    return repr((request, request.instances.keys, request.instances.fields, failures))


def parsers(spec: Spec) -> tuple[RequestParser, RequestParser]:
    return RequestParser(spec, 6), RequestParser(spec, 6, plain_objects=False)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), step=st.integers(1, 7))
def test_a_body_means_the_same_either_way(
    spec_of: Callable[[str], Spec], kind: str, data: st.DataObject, step: int
) -> None:
    at_once, through_dicts = parsers(spec_of(kind))
    body = data.draw(bodies(spec_of(kind).input_names))
    assert outcome(at_once, body, step) == outcome(through_dicts, body, step)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [*PLAIN, *ODD], ids=lambda value: value[:20])
def test_every_odd_value_means_the_same_in_every_place(spec_of: Callable[[str], Spec], kind: str, value: str) -> None:
    at_once, through_dicts = parsers(spec_of(kind))
    names = spec_of(kind).input_names
    for odd in names:
        for count in (1, 5):
            one = ",".join(f'"{name}":{value if name == odd else 1}' for name in names)
            body = ('{"instances":[' + ",".join([f"{{{one}}}"] * count) + "]}").encode()
            assert outcome(at_once, body, count) == outcome(through_dicts, body, count)


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("form", ['{"parameters":%s,"instances":[%s]}', '{"instances":[%s],"parameters":%s}',
                                  '{"instances":[%s],"parameters":%s,"parameters":{}}'])  # fmt: skip
def test_parameters_mean_the_same_even_where_later_ones_count(
    spec_of: Callable[[str], Spec], parameters: str, form: str
) -> None:
    sent = '{"customer_id":"C1"}'
    body = form % ((parameters, sent) if form.startswith('{"parameters"') else (sent, parameters))
    at_once, through_dicts = parsers(spec_of("string"))
    assert outcome(at_once, body.encode(), 1) == outcome(through_dicts, body.encode(), 1)


@given(number=st.floats(allow_nan=False, allow_infinity=False) | st.integers(), digits=st.integers(0, 40))
@example(number=9007199254740993.0, digits=0)
@example(number=1.7976931348623157e308, digits=0)  # rounded to 2e+308 it is infinite, and so no JSON
def test_every_number_comes_out_to_the_last_bit(spec_of: Callable[[str], Spec], number: float, digits: int) -> None:
    written = [repr(number), f"{number:.{digits}f}" if abs(number) < 1e300 else "1", f"{number:.{digits}e}"]
    parser, _ = parsers(spec_of("demo"))
    for one in [text for text in written if math.isfinite(float(text))]:
        body = f'{{"instances":[{{"customer_id":"C1","merchant_id":"M1","amount":{one},"channel":"web"}}]}}'.encode()
        ((_, _, amount, _),) = map(values_of, parser.open(body).sent)
        assert repr(amount) == repr(orjson.loads(one))


def values_of(sent: Any) -> tuple[Any, ...]:
    if isinstance(sent, dict):
        return tuple(sent.values())
    return tuple(getattr(sent, name) for name in sent.__struct_fields__)


PLAIN_BODIES = {
    "one": b'{"instances": [{"customer_id": "C1"}]}',
    "indented": b'{\n  "instances": [\n    {\n      "customer_id": "C1"\n    }\n  ]\n}\n',
    "behind parameters": b'{"parameters": {"extra": "ignore"}, "instances": [{"customer_id": 1}]}',
    "an escaped name": rb'{"instances": [{"customer\u005fid": 7.5}]}',
}


@pytest.mark.parametrize("body", PLAIN_BODIES.values(), ids=PLAIN_BODIES)
def test_plain_objects_are_decoded_at_once(spec_of: Callable[[str], Spec], body: bytes) -> None:
    at_once, through_dicts = parsers(spec_of("string"))
    assert [isinstance(one, dict) for one in at_once.open(body).sent] == [False]
    assert [isinstance(one, dict) for one in through_dicts.open(body).sent] == [True]


@pytest.mark.parametrize("name", ["b64", 'a"b', "a\\b", "a\nb"])
def test_a_key_of_any_name_means_the_same(name: str) -> None:
    spec = single_view_spec(name="x", view="v", source=None, keys=(name, "other"), features=())
    body = orjson.dumps({"instances": [{name: "C1", "other": "C2"}] * 5})
    at_once, through_dicts = parsers(spec)
    assert outcome(at_once, body, 5) == outcome(through_dicts, body, 5)
