"""The same complaint is written so often that one sees it, and no more."""

import logging
from collections.abc import Callable

import pytest

from features.clock import ManualClock
from service.log_repeats import Repeats


def record(message: str = "no answer from %s", name: str = "keyscore", level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, message, ("a",), None)


def through(repeats: Repeats, n: int, make: Callable[[], logging.LogRecord] = record) -> int:
    return sum(repeats.lets(make()) for _ in range(n))


def test_ten_of_a_kind_are_let_through_in_a_second_and_the_rest_told_of(clock: ManualClock) -> None:
    repeats = Repeats(clock.monotonic)
    assert through(repeats, 1_244) == 10
    assert repeats.told() == []
    clock.advance(1)
    [told] = repeats.told()
    assert told.getMessage() == 'and 1,234 more like it: "no answer from %s"'
    assert (told.name, told.levelno) == ("keyscore", logging.ERROR)
    assert repeats.told() == []
    assert through(repeats, 20) == 10


def test_kinds_differ_by_logger_level_and_template(clock: ManualClock) -> None:
    repeats = Repeats(clock.monotonic)
    assert through(repeats, 20) == 10
    assert through(repeats, 20, lambda: record("other")) == 10
    assert through(repeats, 20, lambda: record(name="library")) == 10
    assert through(repeats, 20, lambda: record(level=logging.WARNING)) == 10


def test_a_kind_that_stays_below_its_rate_is_never_held_back(clock: ManualClock) -> None:
    repeats = Repeats(clock.monotonic)
    for _ in range(5):
        assert through(repeats, 10) == 10
        clock.advance(1)
    assert repeats.told() == []


def test_what_is_no_warning_is_always_let_through(clock: ManualClock) -> None:
    assert through(Repeats(clock.monotonic), 1_000, lambda: record(level=logging.INFO)) == 1_000


def test_what_is_marked_as_wanted_every_time_is_always_let_through(clock: ManualClock) -> None:
    def marked() -> logging.LogRecord:
        made = record()
        made.every = True
        return made

    assert through(Repeats(clock.monotonic), 1_000, marked) == 1_000


@pytest.mark.parametrize(
    "name", ["opentelemetry.exporter.otlp.common.http", "keyscore.telemetry", "urllib3.connectionpool", "requests"]
)
def test_telemetry_that_fails_has_one_line_a_minute(clock: ManualClock, name: str) -> None:
    repeats = Repeats(clock.monotonic)

    def failed() -> logging.LogRecord:
        return record("Failed to export %s", name=name, level=logging.WARNING)

    assert through(repeats, 7, failed) == 1
    clock.advance(59)
    assert through(repeats, 7, failed) == 0
    clock.advance(1)
    assert repeats.told()[0].getMessage().startswith("and 13 more like it")
    assert through(repeats, 7, failed) == 1


def test_at_the_end_all_is_told_at_once(clock: ManualClock) -> None:
    repeats = Repeats(clock.monotonic)
    through(repeats, 12)
    assert repeats.told(at_once=True)[0].getMessage().startswith("and 2 more like it")


def test_templates_without_end_cost_no_memory(clock: ManualClock) -> None:
    repeats = Repeats(clock.monotonic)
    let = sum(repeats.lets(record(f"failed for {n}" + "x" * 10_000)) for n in range(2_000))
    assert let == 510
    clock.advance(1)
    assert [told.getMessage() for told in repeats.told()] == ['and 1,490 more like it: "(many kinds of lines)"']
