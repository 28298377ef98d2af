"""The apps: routes, errors and documentation around a running service.

Without an admin port there is one app, `create_app`. With one, what tells about the service rather than scores moves
to a second app, `create_admin_app`, so that whoever may ask for scores need not be able to read the rest:

    port         /predict  /predict/detailed  /livez  /readyz
    admin port   /metadata  /metrics  /docs  /openapi.json  /livez  /readyz
"""

from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access import AccessLog
from service.api import (
    answer_framework_error,
    answer_unhandled_error,
    metadata,
    metrics,
    predict,
    predict_detailed,
    refuse_detailed,
)
from service.authentication_guard import BearerGuard
from service.docs import add_docs
from service.health import livez, readyz
from service.lean_routes import LeanRoute, Shortcut
from service.middleware import Outermost
from service.openapi import complete, problem_response, request_body, responses, timeout_header
from service.parameters import usual_parameters
from service.schemas import Health, Metadata
from service.wiring import Service

_DESCRIPTION: Final = """Send keys, get scores. A caller sends entity IDs; the service reads their current features,
assembles the model's vector, scores it and answers: just the scores on `/predict`, the whole story on
`/predict/detailed`."""

_TWO_PORTS: Final = """

Predictions are answered on the service's own port, `/metadata` and `/metrics` on its admin port; health on both."""

_PREDICTIONS: Final = ("/predict", "/predict/detailed")
_HEALTH: Final = ("/livez", "/readyz")
_ABOUT: Final = ("/metadata", "/metrics")


class _App(FastAPI):
    """FastAPI, with an OpenAPI document that says what FastAPI does not know.

    Requests meet our own layers first, and FastAPI's only where no lean route answers them.

    Attributes of `state`:
        service: The service behind it.
        paths: The paths that it answers.
        guarded: Those that want a bearer token.
        documented: The app whose routes the document shows.
        layers: Our own layers, which end in FastAPI's.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        scope["app"] = self
        await self.state.layers(scope, receive, send)

    async def usual(self, scope: Scope, receive: Receive, send: Send) -> None:
        """FastAPI's own way through its layers and its routes."""
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """See FastAPI."""
        if self.state.documented is not self:
            found: dict[str, Any] = self.state.documented.openapi()
            return found
        document = super().openapi()
        complete(document, self.state.guarded)
        return document


def create_app(service: Service) -> FastAPI:
    """The ASGI app of a service that has started: all of it, or what its admin app does not answer."""
    whole = service.settings.admin_port is None
    asked = () if service.authenticator is None else (*_PREDICTIONS, *(_ABOUT if whole else ()))
    about = (*_ABOUT, "/docs") if whole else ()
    app = _new_app(service, (*_PREDICTIONS, *_HEALTH, *about), asked, openapi=whole)
    _add_prediction_routes(app, service)
    _add_health_routes(app)
    if whole:
        _add_routes_about_it(app)
        add_docs(app)
    alias = service.platform.health_route
    if alias is not None and alias not in app.state.paths:
        app.add_api_route(alias, readyz, include_in_schema=False)
    layers: ASGIApp = Shortcut(app.usual, app.routes)
    if service.authenticator is not None:
        free = _HEALTH if alias is None or alias in app.state.paths else (*_HEALTH, alias)
        layers = BearerGuard(layers, service.authenticator, service.clock, free, app.routes)
    app.state.layers = _outermost(layers, service)
    return app


def create_admin_app(service: Service) -> FastAPI:
    """The ASGI app for the admin port: what is served, how it fares, and the documentation of both ports.

    It asks nobody who they are: who can reach its port is for the network to say.
    """
    app = _new_app(service, (*_HEALTH, *_ABOUT, "/docs"), ())
    _add_health_routes(app)
    _add_routes_about_it(app)
    add_docs(app)
    app.state.documented = _both_ports(service)
    app.state.layers = _outermost(Shortcut(app.usual, app.routes), service)
    return app


def _both_ports(service: Service) -> FastAPI:
    """An app that is never served: it has the routes of both ports, for the document."""
    app = _new_app(service, (), () if service.authenticator is None else _PREDICTIONS)
    app.description += _TWO_PORTS
    _add_prediction_routes(app, service)
    _add_health_routes(app)
    _add_routes_about_it(app)
    return app


def _new_app(service: Service, paths: Sequence[str], guarded: Sequence[str], *, openapi: bool = True) -> _App:
    app = _App(
        title=f"Keyscore: {service.bundle.spec.name}",
        version=service.bundle.spec.version,
        description=_DESCRIPTION,
        openapi_url="/openapi.json" if openapi else None,
        docs_url=None,  # the shipped page loads its scripts from the internet; ours does not
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    app.state.service, app.state.paths, app.state.guarded, app.state.documented = service, paths, guarded, app
    app.router.route_class = LeanRoute
    app.add_exception_handler(HTTPException, answer_framework_error)
    app.add_exception_handler(Exception, answer_unhandled_error)
    return app


def _outermost(layers: ASGIApp, service: Service) -> Outermost:
    """The layer that goes around all others."""
    return Outermost(
        layers,
        clock=service.clock,
        observer=service.tally,
        watching=service.watching,
        access_log=AccessLog(service.settings.access_log),
    )


def _add_prediction_routes(app: FastAPI, service: Service) -> None:
    spec, settings = service.bundle.spec, service.settings
    usual = usual_parameters(settings.parameters)
    asked = {
        "parameters": [timeout_header(max(settings.deadline_s, settings.max_deadline_s))],
        "requestBody": request_body(spec, settings.max_instances, detailed=settings.detailed, usual=usual),
    }
    options: dict[str, Any] = {"methods": ["POST"], "tags": ["predictions"], "openapi_extra": asked}
    never = [
        status for status, on in ((401, service.authenticator is not None), (403, not settings.detailed)) if not on
    ]
    app.add_api_route(
        "/predict", predict, responses=responses(detailed=False, without=never), summary="Scores", **options
    )
    app.add_api_route(
        "/predict/detailed",
        predict_detailed if settings.detailed else refuse_detailed,
        responses=responses(detailed=True, sensitive=spec.sensitive_names, without=never),
        summary="Scores, explained",
        include_in_schema=settings.detailed,
        **options,
    )
    alias = service.platform.predict_route
    if alias not in (None, *_PREDICTIONS):
        app.add_api_route(alias, predict, methods=["POST"], include_in_schema=False)


def _add_health_routes(app: FastAPI) -> None:
    not_ready: dict[int | str, dict[str, Any]] = {503: problem_response("Starting or stopping.")}
    app.add_api_route("/livez", livez, tags=["health"], response_model=Health, summary="Alive?")
    app.add_api_route("/readyz", readyz, tags=["health"], response_model=Health, summary="Ready?", responses=not_ready)


def _add_routes_about_it(app: FastAPI) -> None:
    service: Service = app.state.service
    one_of_many: dict[int | str, dict[str, Any]] = {404: problem_response("One worker cannot speak for the others.")}
    app.add_api_route("/metadata", metadata, tags=["about"], response_model=Metadata, summary="What is served")
    app.add_api_route(
        "/metrics",
        metrics,
        tags=["about"],
        response_class=PlainTextResponse,
        summary="Prometheus metrics",
        responses=one_of_many if service.settings.workers > 1 else None,
    )
