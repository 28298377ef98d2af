"""Is it alive, is it ready? Both answer without touching store or model."""

from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import Response

from service.lean_routes import problem_answer
from service.problems import NOT_READY, Problem


class JSON(Response):
    """A JSON answer by orjson."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The content as JSON."""
        return orjson.dumps(content)


async def livez(request: Request) -> Response:  # noqa: ARG001  # the framework's signature
    """The process runs and its event loop turns."""
    return JSON({"status": "alive"})


async def readyz(request: Request) -> Response:
    """The bundle is loaded, its golden lines score as recorded, and requests are welcome.

    After start this does not follow the store: an outage that every instance sees must not take every instance out.
    """
    if request.app.state.service.ready:
        return JSON({"status": "ready"})
    return problem_answer(request.scope, Problem(NOT_READY, "the service is starting or stopping"))
