"""One record is one line that always parses, and no line holds what a request was about."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from features.errors import StoreUnavailable
from service.log_lines import JsonLines, TextLines
from service.log_stacks import stack_of
from service.trace_context import TraceContext

_SECRET = "C00017"  # noqa: S105  # an entity's ID
_BALANCE = "1234.56"


def record(message: Any = "said", *args: Any, name: str = "keyscore", level: int = 20, **extra: Any) -> Any:
    made = logging.LogRecord(name, level, "file.py", 7, message, args, extra.pop("exc_info", None))
    made.created = 1_700_000_000.25
    for key, value in extra.items():
        setattr(made, key, value)
    return made


def fields(made: logging.LogRecord, project: str | None = None, *, own_words: bool = False) -> dict[str, Any]:
    environ = {} if project is None else {"GOOGLE_CLOUD_PROJECT": project}
    line = JsonLines(own_words=own_words, environ=environ).format(made)
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def raised(make: Callable[[], Any]) -> Any:
    try:
        make()
    except BaseException as error:  # noqa: BLE001  # whatever the test raises
        return (type(error), error, error.__traceback__)
    raise AssertionError("it raises")


def test_a_line_has_cloud_loggings_fields() -> None:
    request = {"requestMethod": "POST", "requestUrl": "/predict", "status": 504, "latency": "0.100000s"}
    made = record(
        "%s %d",
        "POST",
        504,
        level=logging.ERROR,
        request_id="r1",
        httpRequest=request,
        trace_context=TraceContext(0xABC, 0xDEF, sampled=True),
        fields={"problem": "deadline-exceeded"},
    )
    assert fields(made, "p1") == {
        "severity": "ERROR",
        "time": "2023-11-14T22:13:20.250000Z",
        "message": "POST 504",
        "logger": "keyscore",
        "logging.googleapis.com/trace": "projects/p1/traces/00000000000000000000000000000abc",
        "logging.googleapis.com/spanId": "0000000000000def",
        "logging.googleapis.com/trace_sampled": True,
        "request_id": "r1",
        "httpRequest": request,
        "problem": "deadline-exceeded",
    }


def test_without_a_project_the_trace_is_its_bare_id_and_without_a_span_there_is_none() -> None:
    line = fields(record(trace_context=TraceContext(0xABC, 0, sampled=None)))
    assert line["logging.googleapis.com/trace"] == "00000000000000000000000000000abc"
    assert line["logging.googleapis.com/trace_sampled"] is False
    assert "logging.googleapis.com/spanId" not in line


@pytest.mark.parametrize(
    ("level", "severity"),
    [(10, "DEBUG"), (20, "INFO"), (30, "WARNING"), (40, "ERROR"), (50, "CRITICAL"), (35, "DEFAULT"), (5, "DEFAULT")],
)
def test_the_severity_is_one_that_cloud_logging_knows(level: int, severity: str) -> None:
    assert fields(record(level=level))["severity"] == severity


def test_a_field_of_the_callers_never_replaces_one_of_ours() -> None:
    assert fields(record("true", fields={"message": "forged", "severity": "DEBUG"}))["message"] == "true"


_TEXTS = [
    "\n",
    "\r",
    "\r\n",
    'one\n{"severity":"CRITICAL","message":"forged"}',
    "\x00",
    "\x07",
    "\x08" * 40,
    "\x0b\x0c",
    "\x1b[2J\x1b[1;1H",
    "\x1b]0;title\x07",
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://example.com\x1b\\here\x1b]8;;\x1b\\",
    "\x1c\x1d\x1e\x1f",
    "\x7f",
    "\x85",
    "\x9b31m",
    "\u2028",
    "\u2029",
    "\u202egnp.exe",
    "\u2066left\u2069",
    "\ud800",
    "\udfff",
    "\ud83d\ude00",
    "\U0001f600",
    "\ufeff",
    "\uffff",
    '"',
    "\\",
    "\\n",
    '"},{"a":"',
    "</script><script>",
    "%s %d %(name)s",
    "{} {0} {message}",
    "${jndi:ldap://example.com/a}",
    "a\tb",
    "x" * 1_000_000,
    "\n" * 1_000_000,
    "\u2028" * 1_000_000,
    "\ud800" * 1_000_000,
    "é" * 5_000,
]


@pytest.mark.parametrize("index", range(len(_TEXTS)))
@pytest.mark.parametrize("place", ["message", "argument", "logger", "request_id", "field"])
def test_no_text_breaks_out_of_its_line(index: int, place: str) -> None:
    text = _TEXTS[index]
    made = {
        "message": lambda: record(text),
        "argument": lambda: record("got %s", text),
        "logger": lambda: record(name=text),
        "request_id": lambda: record(request_id=text),
        "field": lambda: record(fields={"problem": text}),
    }[place]()
    line = JsonLines(environ={}).format(made)
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 16_000
    assert json.loads(line)["severity"] == "INFO"
    plain = TextLines().format(made)
    assert len(plain.splitlines()) == 1
    assert all(character.isprintable() or character in "\u3000\ufeff\uffff" for character in plain)
    plain.encode()


def test_a_short_text_comes_through_as_it_is() -> None:
    text = "naïve \u4e16\u754c \U0001f600 \x1b[0m"
    assert fields(record("%s", text))["message"] == text


def test_a_long_text_says_how_much_was_cut() -> None:
    assert fields(record("x" * 5_000))["message"] == "x" * 2_000 + " … (3,000 more characters)"


def test_arguments_that_do_not_fit_leave_the_message() -> None:
    assert fields(record("%d of %d", "one"))["message"] == "%d of %d"


def _lookup() -> None:
    raise KeyError(_SECRET)


def _translated() -> None:
    try:
        _lookup()
    except KeyError as error:
        raise StoreUnavailable(f"cannot read {_SECRET}") from error


def _while_handling() -> None:
    try:
        _lookup()
    except KeyError:
        raise ValueError(f"{_SECRET}: {_BALANCE}") from None
    finally:
        assert True


def _group() -> None:
    raise ExceptionGroup(_SECRET, [ValueError(_SECRET), KeyError(_SECRET)])


def _noted() -> None:
    error = ValueError(_SECRET)
    error.add_note(_SECRET)
    raise error


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError(_SECRET)


def _unspeakable() -> None:
    raise Unspeakable


def _endless() -> None:
    _endless()


@pytest.mark.parametrize("make", [_lookup, _translated, _while_handling, _group, _noted, _unspeakable, _endless])
@pytest.mark.parametrize("name", ["keyscore", "asyncio", "uvicorn.error"])
@pytest.mark.parametrize("lines", [JsonLines(environ={}), TextLines()], ids=["json", "text"])
def test_an_error_is_logged_without_its_words(make: Callable[[], None], name: str, lines: logging.Formatter) -> None:
    info = raised(make)
    text = lines.format(record("it failed", name=name, level=40, exc_info=info))
    assert _SECRET not in text
    assert _BALANCE not in text
    assert info[0].__name__ in text
    assert f"in {make.__name__}" in text


def test_what_asyncio_says_of_a_failed_task_is_cut_to_its_first_line() -> None:
    info = raised(_lookup)
    message = f"Task exception was never retrieved\nfuture: <Task exception=KeyError('{_SECRET}')>"
    line = fields(record(message, name="asyncio", level=40, exc_info=info))
    assert line["message"] == "Task exception was never retrieved"


def test_a_librarys_line_that_quotes_its_error_loses_the_quotation() -> None:
    info = raised(lambda: int(_SECRET))
    line = fields(record(f"failed: {info[1]}", name="library", level=40, exc_info=info))
    assert line["message"] == "failed: (not logged)"


def test_the_stack_is_laid_out_as_python_does_and_causes_come_first() -> None:
    stack = stack_of(raised(_translated)[1])
    first, second = stack.split("\nThe above exception was the direct cause of the following exception:\n\n")
    for part, words in ((first, "KeyError"), (second, "features.errors.StoreUnavailable")):
        assert part.startswith("Traceback (most recent call last):\n  File ")
        assert part.rstrip().endswith(f"{words}: (message not logged)")
    assert stack_of(raised(_while_handling)[1]).count("Traceback") == 1


def test_at_debug_our_own_errors_speak_and_others_do_not() -> None:
    stack = fields(record(level=40, exc_info=raised(_translated)), own_words=True)["stack_trace"]
    assert f"StoreUnavailable: cannot read {_SECRET}" in stack
    assert "KeyError: (message not logged)" in stack


def test_an_error_that_led_to_itself_ends() -> None:
    one, other = ValueError(), KeyError()
    one.__context__, other.__context__ = other, one
    assert stack_of(one).count("Error") == 2


def test_a_stack_without_end_is_cut() -> None:
    assert len(fields(record(level=40, exc_info=raised(_endless)))["stack_trace"]) < 17_000
