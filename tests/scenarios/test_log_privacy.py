"""Whatever goes wrong with a request, its log lines name neither whom it was about nor what is known of them."""

import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.errors import StoreAnswerInvalid, StoreUnavailable
from features.stores.memory import MemoryStore
from service.logs import Logs, configure_logging
from service.settings import Settings

pytestmark = pytest.mark.anyio

_TRACE = "0af7651916cd43dd8448eb211c80319c"
_BODY = {"instances": [{"customer_id": "C00017", "merchant_id": "M00023", "amount": 4321.5}]}
_SECRETS = ("C00017", "M00023", "4321.5")


class Failing(MemoryStore):
    """Raises what it is told to, with everything it knows in the message."""

    __slots__ = ("kind",)

    def __init__(self, kind: type[Exception]) -> None:
        super().__init__()
        self.kind = kind

    async def read(self, view: str, keys: Sequence[Any], deadline: Any) -> Any:  # noqa: ARG002  # the protocol's
        raise self.kind(f"{view} {list(keys)} {_BODY}")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """All lines that were logged; looking at them ends logging."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p1")
    root, own = logging.getLogger(), logging.getLogger("keyscore")
    before = root.handlers[:], root.level, own.level
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        logs = configure_logging(Settings(), stream)

        def lines() -> list[dict[str, Any]]:
            logs.close()
            stream.close()
            with os.fdopen(os.dup(reading), "rb") as text:
                return [json.loads(line) for line in text]

        yield lines
    root.handlers[:] = [handler for handler in before[0] if not isinstance(handler, Logs)]
    root.setLevel(before[1])
    own.setLevel(before[2])
    os.close(reading)


@pytest.mark.parametrize(
    ("kind", "status"),
    [(RuntimeError, 500), (StoreUnavailable, 503), (StoreAnswerInvalid, 502)],
    ids=["bug", "outage", "nonsense"],
)
async def test_a_failure_is_logged_with_its_place_and_without_its_words(
    shop: Callable[..., Path],
    serve: Callable[..., Awaitable[httpx.AsyncClient]],
    written: Callable[[], list[dict[str, Any]]],
    kind: type[Exception],
    status: int,
) -> None:
    client = await serve(shop(), Failing(kind))
    headers = {"traceparent": f"00-{_TRACE}-b7ad6b7169203331-00"}
    answer = await client.post("/predict/detailed?id=C00017", json=_BODY, headers=headers)
    assert answer.status_code == status
    lines = written()
    assert lines[-1]["httpRequest"]["requestUrl"] == "/predict/detailed"
    assert lines[-1]["httpRequest"]["status"] == status
    for line in lines:
        assert line["severity"] in ("INFO", "ERROR")
        assert not [secret for secret in _SECRETS if secret in json.dumps(line)]
    for line in (line for line in lines if line["severity"] == "ERROR"):
        assert line["request_id"] == answer.headers["x-request-id"]
        assert line["logging.googleapis.com/trace"] == f"projects/p1/traces/{_TRACE}"
    stacks = [line["stack_trace"] for line in lines if "stack_trace" in line]
    assert [stack.splitlines()[-1] for stack in stacks] == ["RuntimeError: (message not logged)"] * (status == 500)
