"""Waiting for the issuer's keys is not our being busy, whatever becomes of the request."""

from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from features.clock import ManualClock
from features.events import Nobody
from service.admission import PERMIT, Admission, Permit
from service.authentication_guard import BearerGuard
from service.errors import Unauthenticated
from service.limits import GradientLimit

pytestmark = pytest.mark.anyio

SMALL, LARGE = b"100", b"100000"


class Slow:
    """Knows whom to let in when the keys have come, which takes two seconds."""

    def __init__(self, clock: ManualClock, *, lets_in: bool) -> None:
        self.clock = clock
        self.lets_in = lets_in

    async def check(self, _: Any) -> None:
        self.clock.advance(2.0)
        if not self.lets_in:
            raise Unauthenticated("send a token")


@pytest.mark.parametrize("lets_in", [True, False])
@pytest.mark.parametrize("length", [SMALL, LARGE])
async def test_the_wait_for_keys_shrinks_no_limit(clock: ManualClock, length: bytes, *, lets_in: bool) -> None:
    now = clock.monotonic()
    admission = Admission(
        GradientLimit(100, now),
        GradientLimit(4, now),
        deadline_s=3.0,
        max_deadline_s=10.0,
        clock=clock,
        observer=Nobody(),
    )
    permit: Permit = admission.admit([(b"content-length", length)])
    said: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # ASGI's signature
        permit.begin()

    async def receive() -> Message:
        raise AssertionError("nothing of the request is read")

    async def send(message: Message) -> None:
        said.append(message)

    authenticator: Any = Slow(clock, lets_in=lets_in)
    guard = BearerGuard(app, authenticator, clock, ())
    state = {PERMIT: permit, "request_id": "r1"}
    with permit:
        await guard(
            {"type": "http", "path": "/predict", "method": "POST", "headers": [], "state": state}, receive, send
        )
    assert (admission.interactive.limit, admission.large.limit) == (64, 4)
    assert [one["status"] for one in said if "status" in one] == ([] if lets_in else [401])
