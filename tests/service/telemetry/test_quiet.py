"""What fails again and again is said once a minute."""

import logging

import pytest

from features.clock import ManualClock
from service.telemetry.quiet import LOUD, quiet_exporters


def test_of_many_lines_a_minute_one_is_written_and_the_next_says_how_many_were_not(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with quiet_exporters(clock):
        for name in LOUD:  # together, not each
            logging.getLogger(name).error("failed: %s", "down")
        clock.advance(59.9)
        logging.getLogger(LOUD[0]).error("failed: %s", "down")
        clock.advance(0.1)
        logging.getLogger(LOUD[1]).error("failed: %s", "slow")
        clock.advance(60.0)
        logging.getLogger(LOUD[1]).error("failed: %s", "slow")
    assert [record.getMessage() for record in caplog.records] == [
        "failed: down",
        f"failed: slow ({len(LOUD)} such lines were left out)",
        "failed: slow",
    ]


def test_afterwards_the_loggers_are_as_they_were(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    with quiet_exporters(clock):
        pass
    for _ in range(2):
        logging.getLogger(LOUD[0]).error("said")
    assert len(caplog.records) == 2
