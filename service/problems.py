"""Errors as problem documents (RFC 9457), from one table.

`type` is stable: callers may switch on it. A document names positions and names from the spec; it never echoes input,
paths or stack traces.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import orjson

from features import errors as features_errors
from model import errors as model_errors
from service import errors

MEDIA_TYPE: Final = "application/problem+json"
_TYPE_PREFIX: Final = "urn:keyscore:problem:"
_RETRY_AFTER_S: Final = 1  # an outage or a burst is worth another try, but not at once


@dataclass(frozen=True, slots=True, eq=False)  # there is one of each
class ProblemType:
    """One row of the table.

    Attributes:
        slug: The stable end of its `type`.
        status: HTTP status.
        title: The same for every occurrence.
        retry: Whether the same request may succeed a little later.
        close: Whether the connection cannot be used any more.
        challenge: Whether the caller has to show who it is (RFC 6750, section 3).
    """

    slug: str
    status: int
    title: str
    retry: bool = False
    close: bool = False
    challenge: bool = False

    @property
    def uri(self) -> str:
        """The `type` of the document."""
        return _TYPE_PREFIX + self.slug


@dataclass(frozen=True, slots=True)
class Problem:
    """One occurrence.

    Attributes:
        type: Which problem.
        detail: This occurrence in words.
        members: Extension members: `index`, `field`, `feature`, `view`.
    """

    type: ProblemType
    detail: str
    members: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The members of the document, without the request id."""
        return {
            "type": self.type.uri,
            "title": self.type.title,
            "status": self.type.status,
            "detail": self.detail,
            **self.members,
        }

    def body(self, request_id: str) -> bytes:
        """The document as JSON."""
        return orjson.dumps({**self.document(), "request_id": request_id})

    def headers(self) -> dict[str, str]:
        """Headers that go with it."""
        headers = {"content-type": MEDIA_TYPE}
        if self.type.retry:
            headers["retry-after"] = str(_RETRY_AFTER_S)
        if self.type.close:
            headers["connection"] = "close"
        if self.type.challenge:
            headers["www-authenticate"] = "Bearer"
        return headers


INTERNAL: Final = ProblemType("internal-error", 500, "The service made a mistake")
NOT_READY: Final = ProblemType("not-ready", 503, "The service is not ready", retry=True)
NOT_FOUND: Final = ProblemType("no-such-path", 404, "There is nothing at this path")
METHOD_NOT_ALLOWED: Final = ProblemType("method-not-allowed", 405, "This path does not take this method")

ONE_OF_MANY: Final = ProblemType("one-of-many", 404, "One process cannot speak for all of them")
MALFORMED_HTTP: Final = ProblemType("malformed-http", 400, "This is not HTTP as it should be", close=True)
RECEIPT_TIMEOUT: Final = ProblemType("receipt-timeout", 408, "The request took too long to arrive", close=True)
URL_TOO_LONG: Final = ProblemType("url-too-long", 414, "The URL is too long", close=True)
HEADERS_TOO_LARGE: Final = ProblemType("headers-too-large", 431, "The headers are too large or too many", close=True)

TABLE: Final[Mapping[type[Exception], ProblemType]] = MappingProxyType(
    {
        errors.BodyMalformed: ProblemType("malformed-body", 400, "The body is not JSON"),
        errors.BodyTooSlow: ProblemType("body-too-slow", 408, "The body took too long to arrive", close=True),
        errors.BodyTooLarge: ProblemType("body-too-large", 413, "The body is too large", close=True),
        errors.MediaTypeUnsupported: ProblemType("unsupported-media-type", 415, "The body is not declared as JSON"),
        errors.TimeoutInvalid: ProblemType(
            "invalid-timeout", 400, "The header X-Request-Timeout-Ms cannot be understood"
        ),
        errors.RequestInvalid: ProblemType("invalid-request", 422, "The body is not a prediction request"),
        features_errors.InstanceInvalid: ProblemType("invalid-instance", 422, "An instance cannot be understood"),
        errors.DegradedRefused: ProblemType(
            "features-degraded", 503, "Features are degraded and the request forbids it", retry=True
        ),
        errors.Unauthenticated: ProblemType("unauthenticated", 401, "The caller is not authenticated", challenge=True),
        errors.KeysUnavailable: ProblemType(
            "authentication-unavailable", 503, "Callers cannot be authenticated at the moment", retry=True
        ),
        errors.DetailedOff: ProblemType("detailed-off", 403, "Detailed answers are not given"),
        errors.Shed: ProblemType("overloaded", 503, "The service is at its limit", retry=True),
        features_errors.EntityNotFound: ProblemType("entity-not-found", 404, "An entity is unknown"),
        features_errors.FeatureAbsent: ProblemType("feature-absent", 422, "A feature has no usable value"),
        features_errors.StoreError: ProblemType(
            "features-unavailable", 503, "Features cannot be read at the moment", retry=True
        ),
        features_errors.StoreTimeout: ProblemType("features-timeout", 504, "Features could not be read in time"),
        features_errors.DeadlineExceeded: ProblemType("deadline-exceeded", 504, "The deadline has passed"),
        features_errors.StoreDenied: ProblemType("store-denied", 502, "The feature store refused this service"),
        features_errors.StoreAnswerInvalid: ProblemType(
            "features-invalid", 502, "The feature store's answer cannot be right"
        ),
        # 422, though nobody is at fault: a 5xx would invite callers to ask for the very same again
        model_errors.ScoreNotFinite: ProblemType("score-not-finite", 422, "The model gives no finite score"),
    }
)
"""Exception class to problem; a subclass without a row of its own takes its nearest ancestor's."""

_OWN_WORDS: Final = (
    errors.RequestError,
    features_errors.InstanceInvalid,
    features_errors.FeatureError,
    features_errors.DeadlineExceeded,
    model_errors.ScoreNotFinite,
)
"""Errors whose message is written for callers; what a store's error says is for the operator."""


def problem_for(error: Exception) -> Problem:
    """The problem that `error` is; an error that is in no row is a mistake of ours."""
    if isinstance(error, errors.InstanceFailed):
        inner = problem_for(error.reason)
        return Problem(inner.type, f"instance {error.index}: {inner.detail}", {"index": error.index, **inner.members})
    if isinstance(error, features_errors.FeatureUnread):
        inner = problem_for(error.cause)
        # what is wrong with an answer is said in the spec's own names
        why = f": {error.cause}" if isinstance(error.cause, features_errors.StoreAnswerInvalid) else ""
        return Problem(inner.type, f"{error}{why}", {"feature": error.feature, "view": error.view})
    found = TABLE.get(type(error)) or next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), INTERNAL)
    if found is INTERNAL:
        return Problem(INTERNAL, "the error was logged under this request id")
    detail = str(error) if isinstance(error, _OWN_WORDS) else found.title
    return Problem(found, detail, _members(error))


def _members(error: Exception) -> dict[str, Any]:
    if isinstance(error, features_errors.InstanceInvalid) and error.field is not None:
        return {"field": error.field}
    if isinstance(error, features_errors.FeatureError):
        return {"feature": error.feature, "view": error.view}
    return {}
