"""A request's body, received within its limits."""

import asyncio
from collections.abc import Iterable
from typing import Final

from starlette.requests import Request

from service.admission import Permit
from service.errors import BodyTooLarge, BodyTooSlow, MediaTypeUnsupported

WHOLE_BODY: Final = "body"
"""Where the body of a request is in the `state` of its ASGI scope, if the server received it before it let it in."""

_JSON: Final = b"application/json"


async def receive_body(request: Request, permit: Permit, max_bytes: int, timeout_s: float) -> bytes:
    """The body, whole; what is left of the request's budget does not depend on how long it took to come.

    It is waited for as long as the door waits for bodies that come before their requests are decided about: which of
    the two happens depends on sizes and settings of which its sender knows nothing.

    Args:
        request: The HTTP request.
        permit: Its place and deadline.
        max_bytes: The largest body allowed.
        timeout_s: Seconds in which the last byte must arrive.

    Raises:
        MediaTypeUnsupported: It is not declared as plain JSON.
        BodyTooLarge: It is, or says that it is, larger than allowed; the rest is left unread.
        BodyTooSlow: It did not arrive in time.
    """
    declared = _declared_length(request.scope["headers"])
    if declared is not None and declared > max_bytes:
        raise _too_large(max_bytes)
    whole: bytes | None = request.scope["state"].get(WHOLE_BODY)
    if whole is not None:
        return whole
    chunks: list[bytes] = []
    size = 0
    began = permit.deadline.clock.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                chunks.append(chunk)
    except TimeoutError:
        raise BodyTooSlow("the body did not arrive in time") from None
    finally:
        permit.received(permit.deadline.clock.monotonic() - began)
    return b"".join(chunks)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body may have at most {max_bytes} bytes; send fewer instances per request")


def _declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """What the headers say about the body's size, if they admit that it is plain JSON."""
    declared = None
    for name, value in headers:
        if name == b"content-length":
            declared = int(value)  # the HTTP parser has seen to it that these are digits
        elif name == b"content-type":
            if value != _JSON:
                _check_media_type(value.lower())
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            raise MediaTypeUnsupported("send the body without Content-Encoding; compressed bodies are not read")
    return declared


def _check_media_type(value: bytes) -> None:
    """`application/json`, in UTF-8.

    Source: RFC 8259 section 8.1 (JSON between systems is UTF-8).
    """
    media_type, *parameters = value.split(b";")
    if media_type.strip() != _JSON:
        raise MediaTypeUnsupported("send the header Content-Type: application/json")
    for parameter in parameters:
        name, _, charset = parameter.partition(b"=")
        if name.strip() == b"charset" and charset.strip().strip(b'"') not in (b"utf-8", b"utf8"):
            raise MediaTypeUnsupported("send the body in UTF-8")
