"""The outermost layer of our own: a request id for everybody, an answer to what nobody caught, and the request's line.

Starlette's own catch-all answers an unhandled error and raises it again, whereupon uvicorn closes the connection and
the next request on it fails. So errors end here.
"""

import asyncio
import logging
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.clock import Clock
from features.events import Observer
from service.access import AccessLog, log_fields, route_of
from service.admission import PERMIT
from service.events import RequestEnded
from service.problems import NOT_READY, Problem, problem_for
from service.request_ids import HEADER, request_id_of
from service.watching import Watching

_CLIENT_CLOSED: Final = 499  # nginx's number for a client that went away before its answer

log = logging.getLogger("keyscore")


class Outermost:
    """ASGI middleware; wraps the whole app."""

    def __init__(
        self, app: ASGIApp, clock: Clock, observer: Observer, watching: Watching, access_log: AccessLog
    ) -> None:
        """Wraps `app`.

        Args:
            app: The app.
            clock: The time.
            observer: Who learns of answered requests.
            watching: Who decides which requests are watched.
            access_log: Who writes lines about requests.
        """
        self._app = app
        self._clock = clock
        self._observer = observer
        self._begin_watch = watching.begin
        self._access_log = access_log
        self._least_status_logged = access_log.least_status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock.monotonic()
        request_id = request_id_of(scope["headers"])
        state = scope.setdefault("state", {})
        state["request_id"] = request_id  # `request.state.request_id` for handlers
        # Predictions are posted; health, metrics and documentation are not worth watching.
        state["watch"] = self._begin_watch(scope["headers"]) if scope["method"] == "POST" else None
        status, is_whole = 0, False

        async def send_with_id(message: Message) -> None:
            nonlocal status, is_whole
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER, request_id.encode())]
            else:
                is_whole = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = _CLIENT_CLOSED
        except asyncio.CancelledError:  # the service stops; `service.cycles` answers
            status = status or NOT_READY.status
            state["problem"] = NOT_READY.slug
            raise
        except Exception as error:
            log.exception("unhandled error", extra=log_fields(scope))
            if not status:
                await _send_problem(send_with_id, problem_for(error), request_id)
            elif not is_whole:  # only closing the connection tells the client that the answer has no end
                raise
        finally:
            self._finish(scope, status or _CLIENT_CLOSED, began)

    def _finish(self, scope: Scope, status: int, began: float) -> None:
        """Gives the request's place back, and tells of it."""
        state = scope["state"]
        permit = state.get(PERMIT)
        if permit is not None:
            permit.leave()
            began = min(began, permit.arrived)  # the wait at the door is a part of it
        ended = self._clock.monotonic()
        route = route_of(scope)
        self._observer.observe(RequestEnded(route, status, ended - began))
        watch = state["watch"]
        if watch is not None:
            watch.finished(scope["method"], route, status, began, ended)
        if status >= self._least_status_logged:
            self._access_log.write(scope, route, status, ended - began)


async def _send_problem(send: Send, problem: Problem, request_id: str) -> None:
    body = problem.body(request_id)
    headers = {**problem.headers(), "content-length": str(len(body))}
    await send(
        {
            "type": "http.response.start",
            "status": problem.type.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
