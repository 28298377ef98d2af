"""A line's severity: an answer that is as it should be is no error, though its status is 503."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from service.access import AccessLog


@pytest.mark.parametrize(
    ("name", "status", "level"),
    [
        ("readyz", 200, logging.INFO),
        ("readyz", 503, logging.INFO),
        ("readyz", 500, logging.ERROR),
        ("predict", 503, logging.ERROR),
        ("predict", 422, logging.INFO),
        (None, 404, logging.INFO),
    ],
)
def test_that_a_service_is_not_ready_is_no_error_even_where_every_request_has_a_line(
    caplog: pytest.LogCaptureFixture, name: str | None, status: int, level: int
) -> None:
    route = None if name is None else SimpleNamespace(path=f"/{name}", name=name)
    scope: dict[str, Any] = {"method": "GET", "headers": [], "route": route, "state": {"request_id": "r1"}}
    with caplog.at_level(logging.INFO, "keyscore"):
        AccessLog("all").write(scope, "/path", status, 0.001)
    assert [record.levelno for record in caplog.records] == [level]
