"""The routes: what is HTTP about a request, then delegate."""

from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from service.admission import admitted
from service.errors import DetailedOff
from service.health import JSON
from service.lean_routes import JSONBytes, problem_answer
from service.metadata import describe_bundle
from service.problems import METHOD_NOT_ALLOWED, NOT_FOUND, ONE_OF_MANY, Problem, problem_for
from service.receiving import receive_body
from service.telemetry.prometheus import METRICS_MEDIA_TYPE
from service.wiring import Service


async def predict(request: Request) -> Response:
    """Scores for keys: one list per instance, in order. Classes are in the model's order; see `/metadata`."""
    return await _answer(request, detailed=False)


async def predict_detailed(request: Request) -> Response:
    """Scores for keys with their whole story: class, model, and every value with its status, source and age."""
    return await _answer(request, detailed=True)


async def refuse_detailed(request: Request) -> Response:  # noqa: ARG001  # the framework's signature
    """Stands where detailed answers would be given if they were on."""
    raise DetailedOff


async def metadata(request: Request) -> Response:
    """What is being served: bundle, keys, request fields, views, features and limits."""
    service: Service = request.app.state.service
    return JSON(describe_bundle(service.bundle, service.settings))


async def metrics(request: Request) -> Response:
    """Counters and histograms in Prometheus' text format."""
    service: Service = request.app.state.service
    if service.settings.workers > 1:
        count = service.settings.workers
        return problem_answer(
            request.scope,
            Problem(ONE_OF_MANY, f"a scrape reaches one of {count} workers; push with KEYSCORE_OTLP_ENDPOINT"),
        )
    return Response(service.metrics.text(), media_type=METRICS_MEDIA_TYPE)


async def answer_framework_error(request: Request, error: Exception) -> Response:
    """The problem document of what the framework refuses."""
    assert isinstance(error, HTTPException)  # noqa: S101  # it is registered for no other; for the type checker
    return problem_answer(request.scope, _http_problem(request, error), (error.headers or {}).items())


async def answer_unhandled_error(request: Request, error: Exception) -> Response:
    """The problem document of an error on a path of the framework's own; it goes on to `Outermost`, which logs it."""
    return problem_answer(request.scope, problem_for(error))


async def _answer(request: Request, *, detailed: bool) -> Response:
    scope = request.scope
    service: Service = scope["app"].state.service
    permit = admitted(scope, service.pipeline.admission)
    permit.begin(scope["state"]["watch"])
    settings = service.settings
    body = await receive_body(request, permit, settings.max_body_bytes, settings.receive_timeout_s)
    answer = await service.pipeline.answer(body, permit, detailed=detailed)
    permit.leave()  # how fast the answer is read is the caller's affair
    return JSONBytes(answer.body, answer.headers())


def _http_problem(request: Request, error: HTTPException) -> Problem:
    if error.status_code == METHOD_NOT_ALLOWED.status:
        return Problem(METHOD_NOT_ALLOWED, "prediction routes take POST, the others GET")
    return Problem(NOT_FOUND, f"the paths are {', '.join(request.app.state.paths)}")
