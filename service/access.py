"""One line per request, for those that the settings want on record."""

import logging
from typing import Any, Final, Literal

from starlette.types import Scope

from service.trace_context import TraceContext, trace_context
from service.watching import RequestWatch

_ERROR: Final = 500
_NOT_READY: Final = 503
_NONE: Final = 1_000
"""Above every status."""

_LEAST_STATUS: Final = {"off": _NONE, "errors": _ERROR, "all": 0}
_QUIET: Final = frozenset(("livez", "readyz", "metrics"))
"""Handlers that are asked again and again; that a service is not ready is what it answers, no error."""

_SHED: Final = "overloaded"
"""The problem of a refusal at admission: thousands in a second, and counted as they are."""

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))

log = logging.getLogger("keyscore")


class AccessLog:
    """Writes lines about requests.

    Attributes:
        least_status: Requests whose status is below are not its business; asked before each `write`.
        wants_refused: Whether those have lines, too, that are refused at the door; asked before each `write` there.
    """

    __slots__ = ("_errors_only", "least_status", "wants_refused")

    def __init__(self, wanted: Literal["off", "errors", "all"]) -> None:
        """Learns which requests are wanted: none, errors, or all; see the setting `access_log`."""
        self.least_status = _LEAST_STATUS[wanted]
        self._errors_only = wanted == "errors"
        self.wants_refused = wanted == "all"

    def write(self, scope: Scope, route: str, status: int, duration_s: float) -> None:
        """Writes the line of an answered request, if it is wanted.

        Args:
            scope: The request, in ASGI's words.
            route: The path template; what the caller wrote into a path or query is never logged.
            status: HTTP status of the answer.
            duration_s: From its being let in to the end of the answer; from its first byte, if it never was.
        """
        problem = scope["state"].get("problem")
        quiet = getattr(scope.get("route"), "name", None) in _QUIET
        if self._errors_only and (problem == _SHED or quiet):
            return
        request = {
            "requestMethod": _method(scope),
            "requestUrl": route,
            "status": status,
            "latency": f"{duration_s:.6f}s",
        }
        fields = {} if problem is None else {"problem": problem}
        log.log(
            logging.ERROR if status >= _ERROR and not (quiet and status == _NOT_READY) else logging.INFO,
            "%s %s %d in %.1f ms",
            request["requestMethod"],
            route,
            status,
            duration_s * 1000,
            # who asked for all of them gets all; errors alone are held to a rate, see `log_repeats`
            extra={**log_fields(scope), "httpRequest": request, "fields": fields, "every": not self._errors_only},
        )


def log_fields(scope: Scope) -> dict[str, Any]:
    """What places a log line: the request's id, and its trace. Read from the headers only here, when a line is due."""
    state = scope["state"]
    return {"request_id": state["request_id"], "trace_context": _context(scope, state.get("watch"))}


def route_of(scope: Scope) -> str:
    """The path template, from a closed set: what a caller writes into a path never becomes a label."""
    return getattr(scope.get("route"), "path", "other")


def _context(scope: Scope, watch: RequestWatch | None) -> TraceContext | None:
    own = None if watch is None else watch.context
    return own or trace_context(scope["headers"])


def _method(scope: Scope) -> str:
    """One of the methods that HTTP defines; a caller may write anything there."""
    method: str = scope["method"]
    return method if method in _METHODS else "other"
