"""The OpenAPI document names this deployment's own keys and request fields.

The instance schema is made of the spec, so a caller's generated client asks for what this bundle needs. A test holds it
to the parser in both directions: what the schema admits is understood, what it excludes is refused.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from features.keys import MAX_KEY_LENGTH, KeyDType, KeyPart
from features.spec import RequestField, Spec
from features.values import FLOAT32_MAX, DType
from service.problems import MEDIA_TYPE
from service.schemas import DetailedAnswer, Parameters, ProblemDocument, SimpleAnswer

_INT64: Final[Mapping[str, Any]] = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
_BASE64: Final = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_PROBLEMS: Final = {
    400: "The body is not JSON, `X-Request-Timeout-Ms` is no number of at least 1, or the request is no proper HTTP.",
    401: "No bearer ID token that this service takes.",
    403: "Detailed answers are not given here.",
    404: "An entity is unknown, and the policy of one of its features is `fail`.",
    408: "The request did not arrive in time.",
    413: "The body is too large; the connection is closed.",
    415: "The body is not declared as JSON in UTF-8.",
    422: "The request or one of its instances cannot be understood, a feature is null or too old, or the model gives "
    "no finite score.",
    502: "The feature store's answer cannot be right, or it refused the service.",
    503: "At the limit, not ready, features or the keys of ID tokens cannot be read, or features are degraded and the "
    "request says `on_degraded: fail`; try again after `Retry-After` seconds.",
    504: "The deadline has passed.",
}

_REQUEST_ID: Final = {"description": "The caller's own if it is harmless, or a new one.", "schema": {"type": "string"}}
_RETRY_AFTER: Final = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}


def timeout_header(max_deadline_s: float) -> dict[str, Any]:
    """The OpenAPI parameter of the prediction routes.

    Args:
        max_deadline_s: Seconds that a request may have at most.
    """
    return {
        "name": "X-Request-Timeout-Ms",
        "in": "header",
        "description": "Budget of the request in milliseconds, at least 1; more than "
        f"{max_deadline_s * 1000:.0f} counts as that. Unlike `timeout_ms` it is known before the body is read; the "
        "less of the two holds.",
        # no `number`, which may be written as 1e3
        "schema": {"type": "string", "pattern": r"^0*[1-9][0-9]*(\.[0-9]*)?$", "examples": ["80"]},
    }


def request_body(
    spec: Spec, max_instances: int, *, detailed: bool = True, usual: Parameters | None = None
) -> dict[str, Any]:
    """The OpenAPI `requestBody` of the prediction routes.

    Args:
        spec: The bundle's spec.
        max_instances: How many instances one request may hold.
        detailed: Whether detailed answers are given at all.
        usual: Parameters that hold where a request does not say, other than those that are shipped.
    """
    parameters = Parameters.model_json_schema()
    for name, value in ({} if usual is None else usual.model_dump(exclude_unset=True)).items():
        parameters["properties"][name]["default"] = value
    if not detailed:
        parameters["properties"]["response"] |= {"anyOf": [{"const": "simple"}, {"type": "null"}]}
    schema = {
        "type": "object",
        "required": ["instances"],
        "additionalProperties": False,
        "properties": {
            "instances": {
                "type": "array",
                "minItems": 1,
                "maxItems": max_instances,
                "items": instance_schema(spec),
            },
            "parameters": {"anyOf": [parameters, {"type": "null"}]},
        },
    }
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def instance_schema(spec: Spec) -> dict[str, Any]:
    """JSON Schema of one instance."""
    values = {part.name: _key(part) for part in spec.keys} | {one.name: _field(one) for one in spec.fields}
    for name in spec.sensitive_fields:
        values[name] = {**values[name], "writeOnly": True}  # sent, never told
    shapes: list[dict[str, Any]] = [
        {
            "title": "by name",
            "description": 'Other members are refused, unless `parameters` say `"extra": "ignore"`.',
            "type": "object",
            "required": list(values),
            "properties": values,
            "additionalProperties": False,
        },
        {
            "title": "in order",
            "type": "array",
            "prefixItems": list(values.values()),
            "items": False,
            "minItems": len(values),
            "maxItems": len(values),
        },
        {
            "title": "bytes",
            "description": "Base64 of a tf.train.Example"
            + (" or of UTF-8 text." if len(values) == 1 else f" with {', '.join(values)}."),
            "type": "object",
            "required": ["b64"],
            "properties": {"b64": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64}},
            "additionalProperties": False,
        },
    ]
    if len(values) == 1 and not spec.fields:
        shapes.insert(0, {"title": "the key itself", **next(iter(values.values()))})
    return {"anyOf": shapes}


def responses(
    *, detailed: bool, sensitive: Sequence[str] = (), without: Collection[int] = ()
) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a prediction route.

    Args:
        detailed: Its style.
        sensitive: Names of the features whose values are masked.
        without: Statuses that this service never answers.
    """
    masked = f" Masked values: {', '.join(sensitive)}." if detailed and sensitive else ""
    found: dict[int | str, dict[str, Any]] = {
        200: {
            # either route gives both styles: `parameters.response` decides
            "model": DetailedAnswer | SimpleAnswer if detailed else SimpleAnswer | DetailedAnswer,
            "description": "One prediction for each instance, in order." + masked,
            "headers": {
                "X-Keyscore-Degraded": _count("substituted because of an error, or served beyond its stale window"),
                "X-Keyscore-Defaulted": _count("absent and replaced by its declared default"),
            },
        }
    }
    for status, description in _PROBLEMS.items():
        if status not in without:
            found[status] = problem_response(description)
    return found


def complete(document: dict[str, Any], guarded: Collection[str]) -> None:
    """Adds to an OpenAPI document what the framework does not know.

    Args:
        document: Is changed.
        guarded: The paths that want a bearer token.
    """
    components = document["components"]
    components["schemas"].setdefault(ProblemDocument.__name__, ProblemDocument.model_json_schema())
    components["headers"] = {"X-Request-Id": _REQUEST_ID, "Retry-After": _RETRY_AFTER}
    if guarded:
        scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An ID token."}
        components["securitySchemes"] = {"bearer": scheme}
    for path in guarded:
        for operation in document["paths"].get(path, {}).values():
            operation["security"] = [{"bearer": []}]
            for status in (401, 503):
                operation["responses"].setdefault(str(status), problem_response(_PROBLEMS[status]))
    for operation in chain.from_iterable(path.values() for path in document["paths"].values()):
        for status, response in operation["responses"].items():
            names = ("X-Request-Id", "Retry-After") if status == "503" else ("X-Request-Id",)
            response.setdefault("headers", {}).update({name: _component("headers", name) for name in names})


def problem_response(description: str) -> dict[str, Any]:
    """The OpenAPI response of a problem document; `complete` brings the model itself."""
    schema = _component("schemas", ProblemDocument.__name__)
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


def _component(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _count(what: str) -> dict[str, Any]:
    return {"description": f"How many values were {what}; absent when none.", "schema": {"type": "integer"}}


def _key(part: KeyPart) -> dict[str, Any]:
    if part.dtype is KeyDType.INT64:
        return {"anyOf": [_INT64, {"type": "string", "format": "int64", "pattern": "^(0|-?[1-9][0-9]{0,18})$"}]}
    text = {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": r"^[^\u0000]*$"}
    return {"anyOf": [text, {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1}]}


def _field(one: RequestField) -> dict[str, Any]:
    match one.dtype:
        case DType.STRING:
            return {"type": "string"}
        case DType.BOOL:
            return {"type": "boolean"}
        case DType.INT:
            schema = dict(_INT64)
        case DType.FLOAT:
            schema = {"type": "number", "minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX}
    if one.minimum is not None:
        schema["minimum"] = max(one.minimum, schema["minimum"])
    if one.maximum is not None:
        schema["maximum"] = min(one.maximum, schema["maximum"])
    return schema
