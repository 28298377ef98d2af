"""Nobody unknown comes in: the ASGI layer that asks for a bearer token before anything of the request is read.

It is there only where authentication is on, so a service without it pays nothing. Everything is guarded but for the
health routes: a path that is added later is guarded unless somebody says otherwise.
"""

from collections.abc import Collection, Iterable
from typing import Final

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from features.clock import Clock
from service.admission import PERMIT
from service.authentication import Authenticator
from service.errors import RequestError
from service.lean_routes import problem_answer
from service.problems import problem_for

_READ_ONLY: Final = ("GET", "HEAD")


class BearerGuard:
    """ASGI middleware; stands inside `Outermost`, around everything else."""

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        clock: Clock,
        free: Collection[str],
        routes: Iterable[BaseRoute] = (),
    ) -> None:
        """Guards `app`.

        Args:
            app: The app.
            authenticator: Knows whom to let in.
            clock: The time.
            free: Paths that everybody may read.
            routes: The app's; a refusal is counted under the one that it would have reached.
        """
        self._app = app
        self._authenticator = authenticator
        self._clock = clock
        self._free = frozenset(free)
        self._routes = {route.path: route for route in routes if isinstance(route, Route)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http" and not (scope["path"] in self._free and scope["method"] in _READ_ONLY):
            try:
                await self._check(scope)
            except RequestError as error:
                scope["route"] = self._routes.get(scope["path"])  # nobody has looked for it yet
                await problem_answer(scope, problem_for(error))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _check(self, scope: Scope) -> None:
        """Returns when the request may come in; its wait for the issuer's keys, if any, is not our being busy."""
        began = self._clock.monotonic()
        try:
            await self._authenticator.check(scope["headers"])
        finally:
            permit = scope["state"].get(PERMIT)
            if permit is not None:
                permit.elsewhere_s += self._clock.monotonic() - began
