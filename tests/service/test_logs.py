"""Lines reach stdout from a thread of their own; a stdout that nobody reads costs lines, counted ones, and no more."""

import json
import logging
import os
import select
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

import pytest

from service.log_writing import MAX_BYTES, MAX_LINES
from service.logs import Logs, configure_logging
from service.settings import Settings

log = logging.getLogger("keyscore")


@dataclass
class Counted:
    """Counts drops."""

    lost: Counter[str] = field(default_factory=Counter)

    def add(self, signal: str, n: int) -> None:
        self.lost[signal] += n


@dataclass
class Pipe:
    """A real pipe; nobody reads it until `lines` is called."""

    reading: int
    writing: TextIO
    rest: bytes = b""

    def lines(self, n: int) -> list[dict[str, Any]]:
        """The next n lines, waited for."""
        found: list[dict[str, Any]] = []
        while len(found) < n:
            line, newline, after = self.rest.partition(b"\n")
            if newline:
                found.append(json.loads(line))
                self.rest = after
            else:
                self.rest += os.read(self.reading, 65_536)
        return found

    def fill(self) -> None:
        """Writes until it takes no more."""
        os.set_blocking(self.writing.fileno(), False)
        while select.select([], [self.writing], [], 0)[1]:
            os.write(self.writing.fileno(), b"\n" * select.PIPE_BUF)
        os.set_blocking(self.writing.fileno(), True)

    def drain(self) -> None:
        """Reads what `fill` wrote."""
        while select.select([self.reading], [], [], 0)[0]:
            self.rest += os.read(self.reading, 65_536)
        self.rest = self.rest.lstrip(b"\n")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield Pipe(reading, stream)
    os.close(reading)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging as it was before the test."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], (root.level, log.level)
    yield
    for handler in [handler for handler in root.handlers if isinstance(handler, Logs)]:
        handler.close(0)
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    log.setLevel(levels[1])


def configured(pipe: Pipe, drops: Counted | None = None, **chosen: Any) -> Logs:
    return configure_logging(Settings(**chosen), pipe.writing, drops=drops)


def test_lines_come_out_in_order_as_json_where_stdout_is_no_terminal(pipe: Pipe) -> None:
    logs = configured(pipe)
    for n in range(3):
        log.info("line %d", n)
    assert [line["message"] for line in pipe.lines(3)] == ["line 0", "line 1", "line 2"]
    logs.close()


def test_before_the_settings_are_known_there_are_lines_too_and_then_only_one_handler(pipe: Pipe) -> None:
    configure_logging(stdout=pipe.writing)
    log.info("early")
    logs = configured(pipe, log_level="warning")
    log.info("not wanted")
    log.warning("late")
    logs.close()
    assert [line["message"] for line in pipe.lines(2)] == ["early", "late"]
    assert sum(isinstance(handler, Logs) for handler in logging.getLogger().handlers) == 1


def test_the_format_may_be_chosen(pipe: Pipe) -> None:
    configured(pipe, log_format="text").close()
    logs = configured(pipe, log_format="text")
    log.warning("plain\nwords")
    logs.close()
    assert os.read(pipe.reading, 4096).decode().endswith("Z WARNING keyscore: plain\\x0awords\n")


def test_libraries_are_heard_from_warnings_up_whatever_the_level(pipe: Pipe) -> None:
    logs = configured(pipe, log_level="debug")
    logging.getLogger("library").info("what it works on")
    logging.getLogger("library").warning("what went wrong")
    log.debug("what we work on")
    logs.close()
    assert [line["message"] for line in pipe.lines(2)] == ["what went wrong", "what we work on"]


def test_a_stalled_stdout_costs_lines_in_bounded_memory_and_says_how_many(pipe: Pipe) -> None:
    drops = Counted()
    logs = configured(pipe, drops)
    pipe.fill()
    for n in range(MAX_LINES + 2_345):
        log.info("line %d", n)
    assert drops.lost == {"logs": 2_345}
    pipe.drain()
    lines = pipe.lines(MAX_LINES + 1)
    assert [line["message"] for line in lines[:-1]] == [f"line {n}" for n in range(MAX_LINES)]
    assert lines[-1]["message"] == "2,345 log lines were dropped: they came faster than stdout was read"
    assert lines[-1]["severity"] == "WARNING"
    log.info("and on")
    assert pipe.lines(1)[0]["message"] == "and on"
    logs.close()


def test_long_lines_are_bounded_by_their_bytes(pipe: Pipe) -> None:
    drops = Counted()
    logs = configured(pipe, drops)
    pipe.fill()
    for _ in range(4_500):
        log.info("%s", "x" * 3_000)
    kept = 4_500 - drops.lost["logs"]
    assert MAX_BYTES * 0.9 < kept * 2_100 <= MAX_BYTES  # such a line has a little more than 2,100 bytes
    logs.close(0)


def test_closing_a_stalled_stdout_gives_up_and_counts(pipe: Pipe) -> None:
    drops = Counted()
    logs = configured(pipe, drops)
    pipe.fill()
    for _ in range(7):
        log.info("line")
    logs.close(0.05)
    assert drops.lost == {"logs": 7}
    log.info("too late")
    assert drops.lost == {"logs": 8}
    logs.close()
    assert drops.lost == {"logs": 8}


def test_closing_writes_what_is_pending_and_what_was_held_back(pipe: Pipe) -> None:
    logs = configured(pipe)
    for _ in range(25):
        log.error("again")
    logs.close()
    assert [line["message"] for line in pipe.lines(11)] == ["again"] * 10 + ['and 15 more like it: "again"']


def test_a_stdout_without_a_reader_costs_lines_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    drops = Counted()
    with os.fdopen(writing, "w") as stream:
        logs = configure_logging(Settings(), stream, drops=drops)
        for _ in range(7):
            log.info("line")
        logs.close()
    assert drops.lost == {"logs": 7}


def test_many_threads_make_whole_lines(pipe: Pipe) -> None:
    logs = configured(pipe)

    def say(name: str) -> None:
        for n in range(100):
            log.info("%s %d", name, n)

    threads = [threading.Thread(target=say, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    messages = [line["message"] for line in pipe.lines(400)]
    for thread in threads:
        thread.join()
    for name in "abcd":
        assert [one for one in messages if one[0] == name] == [f"{name} {n}" for n in range(100)]
    logs.close()


_STALLED = """
import logging
from service.logs import configure_logging
from service.settings import Settings

logs = configure_logging(Settings())
for n in range(20_000):
    logging.getLogger("keyscore").info("line %d %s", n, "x" * 300)
logs.close(0.1)
"""


def test_a_process_whose_stdout_is_stalled_ends_all_the_same() -> None:
    process = subprocess.Popen(  # noqa: S603  # our own words
        [sys.executable, "-c", _STALLED], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    assert process.stdout is not None
    assert process.stderr.read() == b""  # until its end, while nobody reads stdout
    assert process.wait() == 0
    process.stdout.close()
    process.stderr.close()
