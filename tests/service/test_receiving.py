"""A body is received whole, or refused by its size, its media type or its slowness."""

import asyncio
from collections.abc import Sequence

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from features.clock import ManualClock
from features.events import Nobody
from service.admission import Admission, Permit
from service.errors import BodyTooLarge, BodyTooSlow, MediaTypeUnsupported
from service.limits import FixedLimit
from service.receiving import WHOLE_BODY, receive_body

pytestmark = pytest.mark.anyio


class Sender:
    """A client that sends these chunks and then, unless it is done, nothing more."""

    def __init__(self, chunks: Sequence[bytes], *, done: bool = True) -> None:
        self.chunks = list(chunks)
        self.done = done
        self.asked = 0

    async def __call__(self) -> Message:
        self.asked += 1
        if self.chunks:
            body = self.chunks.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self.chunks) or not self.done}
        await asyncio.get_running_loop().create_future()  # for ever
        raise AssertionError


def request(sender: Sender, **headers: str) -> Request:
    listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": listed, "state": {}}, sender)


@pytest.fixture
def permit(clock: ManualClock) -> Permit:
    """One second from 1,000 on, ten if the body says so."""
    limit = FixedLimit(1)
    return Admission(limit, limit, deadline_s=1.0, max_deadline_s=10.0, clock=clock, observer=Nobody()).admit()


async def test_chunks_are_put_together(permit: Permit) -> None:
    assert await receive_body(request(Sender([b"ab", b"", b"cd"])), permit, 4, 60) == b"abcd"


async def test_a_body_that_the_server_has_received_is_not_asked_for(permit: Permit) -> None:
    sender = Sender([b"other"])
    received = request(sender)
    received.scope["state"][WHOLE_BODY] = b"{}"
    assert await receive_body(received, permit, 4, 60) == b"{}"
    assert sender.asked == 0


async def test_a_body_that_says_it_is_too_large_is_not_even_asked_for(permit: Permit) -> None:
    sender = Sender([b"x" * 5])
    with pytest.raises(BodyTooLarge, match="at most 4 bytes; send fewer instances"):
        await receive_body(request(sender, content_length="5"), permit, 4, 60)
    assert sender.asked == 0


async def test_a_body_that_turns_out_too_large_is_left_unread(permit: Permit) -> None:
    sender = Sender([b"xxx"] * 100)
    with pytest.raises(BodyTooLarge):
        await receive_body(request(sender), permit, 4, 60)
    assert sender.asked == 2


async def test_a_body_that_stops_half_way_is_not_waited_for_without_end(permit: Permit) -> None:
    with pytest.raises(BodyTooSlow):
        await receive_body(request(Sender([b"{"], done=False)), permit, 4, 0.01)


async def test_the_time_that_a_body_takes_to_come_comes_off_no_budget(permit: Permit, clock: ManualClock) -> None:
    class Slow(Sender):
        async def __call__(self) -> Message:
            clock.advance(1.5)
            return await super().__call__()

    assert await receive_body(request(Slow([b"ab", b"cd"])), permit, 4, 60) == b"abcd"
    assert (permit.arrived, permit.deadline.at, permit.latest) == (1003.0, 1004.0, 1013.0)


async def test_a_client_that_goes_away_is_told_apart(permit: Permit) -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        await receive_body(Request({"type": "http", "method": "POST", "headers": [], "state": {}}, gone), permit, 4, 60)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json; charset=utf8",
        "application/json; charset=utf-8; profile=x",
        "application/json; profile=x",
        "application/json;",
    ],
)
async def test_json_in_utf8_is_read(permit: Permit, content_type: str) -> None:
    assert await receive_body(request(Sender([b"{}"]), content_type=content_type), permit, 4, 60) == b"{}"


async def test_where_nothing_is_said_json_is_meant(permit: Permit) -> None:
    assert await receive_body(request(Sender([b"{}"]), content_encoding="identity"), permit, 4, 60) == b"{}"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"content_type": "text/plain"}, "send the header Content-Type: application/json"),
        ({"content_type": "application/x-www-form-urlencoded"}, "send the header"),
        ({"content_type": "multipart/form-data; boundary=x"}, "send the header"),
        ({"content_type": "application/jsonp"}, "send the header"),
        ({"content_type": ""}, "send the header"),
        ({"content_type": "application/json; charset=utf-16"}, "send the body in UTF-8"),
        ({"content_type": "application/json", "content_encoding": "gzip"}, "without Content-Encoding"),
        ({"content_encoding": "br"}, "without Content-Encoding"),
    ],
)
async def test_any_other_media_type_is_refused_before_the_body_is_read(
    permit: Permit, headers: dict[str, str], said: str
) -> None:
    sender = Sender([b"{}"])
    with pytest.raises(MediaTypeUnsupported, match=said):
        await receive_body(request(sender, **headers), permit, 4, 60)
    assert sender.asked == 0
