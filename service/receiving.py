"""A request's body, received within its limits."""

import asyncio
from typing import Final

from starlette.requests import Request

from features.deadline import Deadline
from service.errors import BodyTooLarge, BodyTooSlow, MediaTypeUnsupported

_JSON: Final = "application/json"


async def receive_body(request: Request, max_bytes: int, deadline: Deadline) -> bytes:
    """The body, whole.

    Args:
        request: The HTTP request.
        max_bytes: The largest body allowed.
        deadline: When the last byte must have arrived.

    Raises:
        MediaTypeUnsupported: It is not declared as plain JSON.
        BodyTooLarge: It is, or says that it is, larger than allowed; the rest is left unread.
        BodyTooSlow: It did not arrive in time.
    """
    _check_media_type(request)
    declared = request.headers.get("content-length")
    if declared is not None and int(declared) > max_bytes:  # the HTTP parser has seen to it that these are digits
        raise BodyTooLarge(f"the body may have at most {max_bytes} bytes; send fewer instances per request")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(deadline.remaining_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise BodyTooLarge(f"the body may have at most {max_bytes} bytes; send fewer instances per request")
                chunks.append(chunk)
    except TimeoutError:
        raise BodyTooSlow("the body did not arrive before the deadline") from None
    return b"".join(chunks)


def _check_media_type(request: Request) -> None:
    """`application/json`, or nothing said; in UTF-8 and as it is.

    Source: RFC 8259 section 8.1 (JSON between systems is UTF-8).
    """
    media_type, *parameters = request.headers.get("content-type", _JSON).lower().split(";")
    if media_type.strip() != _JSON:
        raise MediaTypeUnsupported(f"send the header Content-Type: {_JSON}")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            raise MediaTypeUnsupported("send the body in UTF-8")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise MediaTypeUnsupported("send the body without Content-Encoding; compressed bodies are not read")
