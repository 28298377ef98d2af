"""Routes that do not pay for what they do not use.

A handler here takes a `Request`, returns a `Response` and raises the errors of the table in `service.problems`. It has
no parameters for FastAPI to fill in and no models for it to check, so nothing of that is done: the routes are in the
app, in its OpenAPI document and under its layers, but a request goes straight from those to its handler. FastAPI's own
way there (dependencies, exit stacks, two layers for exceptions, a walk over the routes) takes 60 us, a quarter of what
a whole prediction takes.
"""

from collections.abc import Iterable
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from features.errors import FeaturesError, without_history
from service.errors import RequestError
from service.problems import Problem, problem_for

_TYPE: Final = (b"content-type", b"application/json")


class LeanRoute(APIRoute):
    """One path whose handler asks nothing of the framework."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """See FastAPI."""
        super().__init__(*args, **options)
        self.app = self.answer

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that has come to this route; see ASGI."""
        request = Request(scope, receive)
        try:
            response = await self.endpoint(request)
        except (RequestError, FeaturesError) as error:
            response = problem_answer(scope, problem_for(without_history(error)))
        await response(scope, receive, send)


class Shortcut:
    """ASGI middleware: finds lean routes by a glance into a table; everything else takes the app's usual way."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        """Wraps `app`.

        Args:
            app: The app.
            routes: Its routes.
        """
        self._app = app
        self._routes = {
            (method, route.path): route
            for route in routes
            if isinstance(route, LeanRoute)
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
        else:
            scope["route"] = route
            await route.answer(scope, receive, send)


class JSONBytes(Response):
    """An answer whose body is JSON already; a third of the time of Starlette's, which looks at every header twice."""

    def __init__(self, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Answers 200.

        Args:
            body: JSON.
            headers: More headers, names in lower case.
        """
        self.body = body
        self.status_code = 200
        self.background = None
        self.raw_headers = [_TYPE, (b"content-length", b"%d" % len(body))]
        for name, value in headers:
            self.raw_headers.append((name.encode(), value.encode()))


def problem_answer(scope: Scope, problem: Problem, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """A problem document as the answer to a request.

    Args:
        scope: The request, in ASGI's words.
        problem: How.
        headers: More headers than the problem has of its own.
    """
    scope["state"]["problem"] = problem.type.slug  # for the request's log line
    body = problem.body(scope["state"]["request_id"])
    return Response(body, problem.type.status, {**dict(headers), **problem.headers()})
