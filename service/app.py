"""The app: routes, errors and documentation around a running service."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException

from features.errors import FeaturesError
from service.access import AccessLog
from service.api import answer_error, metadata, metrics, predict, predict_detailed
from service.docs import add_docs
from service.errors import RequestError
from service.health import livez, readyz
from service.middleware import Outermost
from service.openapi import problem_response, request_body, responses
from service.schemas import Health, Metadata
from service.wiring import Service

_DESCRIPTION = """Send keys, get scores. A caller sends entity IDs; the service reads their current features, assembles
the model's vector, scores it and answers: just the scores on `/predict`, the whole story on `/predict/detailed`."""


def create_app(service: Service) -> FastAPI:
    """The ASGI app of a service that has started."""
    app = FastAPI(
        title=f"Keyscore: {service.bundle.spec.name}",
        version=service.bundle.spec.version,
        description=_DESCRIPTION,
        docs_url=None,  # the shipped page loads its scripts from the internet; the one below does not
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    app.state.service = service
    _add_prediction_routes(app, service)
    _add_other_routes(app, service)
    add_docs(app)
    for kind in (RequestError, FeaturesError, HTTPException):
        app.add_exception_handler(kind, answer_error)
    app.add_middleware(
        Outermost,
        clock=service.clock,
        observer=service.tally,
        watching=service.watching,
        access_log=AccessLog(service.settings.access_log),
    )
    return app


def _add_prediction_routes(app: FastAPI, service: Service) -> None:
    body = {"requestBody": request_body(service.bundle.spec, service.settings.max_instances)}
    options: dict[str, Any] = {"methods": ["POST"], "tags": ["predictions"], "openapi_extra": body}
    app.add_api_route("/predict", predict, responses=responses(detailed=False), summary="Scores", **options)
    app.add_api_route(
        "/predict/detailed",
        predict_detailed,
        responses=responses(detailed=True),
        summary="Scores, explained",
        **options,
    )
    alias = service.platform.predict_route
    if alias not in (None, "/predict", "/predict/detailed"):
        app.add_api_route(alias, predict, methods=["POST"], include_in_schema=False)


def _add_other_routes(app: FastAPI, service: Service) -> None:
    not_ready: dict[int | str, dict[str, Any]] = {503: problem_response("Starting or stopping.")}
    app.add_api_route("/livez", livez, tags=["health"], response_model=Health, summary="Alive?")
    app.add_api_route("/readyz", readyz, tags=["health"], response_model=Health, summary="Ready?", responses=not_ready)
    app.add_api_route("/metadata", metadata, tags=["about"], response_model=Metadata, summary="What is served")
    app.add_api_route(
        "/metrics", metrics, tags=["about"], response_class=PlainTextResponse, summary="Prometheus metrics"
    )
    alias = service.platform.health_route
    if alias not in (None, "/livez", "/readyz"):
        app.add_api_route(alias, readyz, include_in_schema=False)
