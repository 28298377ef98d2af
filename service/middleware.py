"""The outermost layer of our own: a request id for everybody, and an answer to what nobody caught.

Starlette's own catch-all answers an unhandled error and raises it again, whereupon uvicorn closes the connection and
the next request on it fails. So errors end here.
"""

import logging
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.clock import Clock
from features.events import Observer
from service.admission import PERMIT
from service.events import RequestEnded
from service.problems import INTERNAL, Problem
from service.request_ids import HEADER, request_id_of

_CLIENT_CLOSED: Final = 499  # nginx's number for a client that went away before its answer

log = logging.getLogger("keyscore")


class Outermost:
    """ASGI middleware; wraps the whole app."""

    def __init__(self, app: ASGIApp, clock: Clock, observer: Observer) -> None:
        """Wraps `app`.

        Args:
            app: The app.
            clock: The time.
            observer: Who learns of answered requests.
        """
        self._app = app
        self._clock = clock
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock.monotonic()
        request_id = request_id_of(scope["headers"])
        state = scope.setdefault("state", {})
        state["request_id"] = request_id  # `request.state.request_id` for handlers
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER, request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = _CLIENT_CLOSED
        except Exception:
            log.exception("unhandled error, request_id=%s", request_id)
            if status:  # an answer had begun; only closing the connection tells the client that it is not whole
                raise
            await _send_internal_error(send_with_id, request_id)
        finally:
            permit = state.get(PERMIT)
            if permit is not None:
                permit.leave()
            took_s = self._clock.monotonic() - began
            self._observer.observe(RequestEnded(_route(scope), status or _CLIENT_CLOSED, took_s))


def _route(scope: Scope) -> str:
    """The path template, from a closed set: what a caller writes into a path never becomes a label."""
    return getattr(scope.get("route"), "path", "other")


async def _send_internal_error(send: Send, request_id: str) -> None:
    problem = Problem(INTERNAL, "the error was logged under this request id")
    body = problem.body(request_id)
    headers = {**problem.headers(), "content-length": str(len(body))}
    await send(
        {
            "type": "http.response.start",
            "status": INTERNAL.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
