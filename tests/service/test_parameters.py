"""Parameters that hold where a request does not say."""

import pytest

from service.errors import StartError
from service.parameters import SHIPPED, parse_parameters, usual_parameters


def test_what_a_request_does_not_say_is_said_by_the_setting() -> None:
    usual = usual_parameters('{"on_error": "null", "timeout_ms": 5000}')
    for nothing in (None, {}):
        found = parse_parameters(nothing, usual)
        assert (found.on_error, found.timeout_ms, found.extra) == ("null", 5000, "refuse")
    some = parse_parameters({"on_error": "fail", "extra": "ignore"}, usual)
    assert (some.on_error, some.timeout_ms, some.extra) == ("fail", 5000, "ignore")
    none = parse_parameters({"timeout_ms": None}, usual)
    assert none.timeout_ms is None


def test_without_the_setting_it_is_as_shipped() -> None:
    assert usual_parameters(None) is SHIPPED
    assert usual_parameters("{}") == SHIPPED


@pytest.mark.parametrize("text", ["{", "null null", "[]", "7", '{"on_eror": "null"}', '{"on_error": null}', "\ud800"])
def test_a_setting_that_is_no_such_object_is_one_line(text: str) -> None:
    with pytest.raises(StartError, match="KEYSCORE_PARAMETERS must be a JSON object of request parameters: ") as caught:
        usual_parameters(text)
    assert "\n" not in str(caught.value)
