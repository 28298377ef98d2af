"""A constant as a raw ASGI app, under the service's own uvicorn: nothing in Python answers sooner.

How fast it answers the closed loop says how fast the closed loop can ask.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Message = MutableMapping[str, Any]

CONSTANT: Final = b'{"predictions":[[0.25,0.75]]}'

_HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(CONSTANT))]


async def app(
    _scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Always the same."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": CONSTANT})
