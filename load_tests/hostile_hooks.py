"""Checks and hooks that the hostile profile gives to schemathesis.

`HOSTILE_KEYS`, JSON of key name to keys that exist, makes every other valid request one that can be answered with 200;
random keys alone would see nothing but 404.
"""

import json
import math
import os
from typing import Any, Final
from zlib import crc32

import schemathesis
from schemathesis.checks import CheckContext
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

SHORT_BUDGET_MS: Final = 250.0
"""Who allows less may be told 504: on a busy machine it is the truth."""

_OK: Final = 200
_SERVER_ERROR: Final = 500
_TIMEOUT: Final = 504
_FEATURE_ABSENT: Final = "urn:keyscore:problem:feature-absent"
_INT64: Final = 2**63
_KEYS: Final[dict[str, list[str]]] = json.loads(os.environ.get("HOSTILE_KEYS", "{}"))


@schemathesis.check
def no_server_error(_: CheckContext, response: Response, case: schemathesis.Case[Any]) -> None:
    """No 5xx, but for 504 to a caller who left next to no time."""
    if response.status_code < _SERVER_ERROR:
        return
    if _was_late(case, response):
        return
    raise AssertionError(f"answered {response.status_code}: {response.text[:300]}")


@schemathesis.check
def valid_is_accepted(ctx: CheckContext, response: Response, case: schemathesis.Case[Any]) -> None:
    """What the schema admits is understood, or, where the caller left next to no time, late.

    Whether its values are as young as it asks is a matter of the data, like whether its entities exist. Two kinds of
    instances are left out as well: bytes, of which no schema can say whether they are a tf.train.Example, and integers
    beyond 64 bits, which schemathesis takes for the bound itself because it compares them as floats.
    """
    if response.status_code == _TIMEOUT or _FEATURE_ABSENT in response.text:
        return
    if not any(map(_beyond_schemas, _instances(case))):
        positive_data_acceptance(ctx, response, case)


@schemathesis.check
def invalid_is_refused(ctx: CheckContext, response: Response, case: schemathesis.Case[Any]) -> None:
    """What the schema excludes is refused, or, where the caller wants that (`on_error: null`), null in its place.

    It may also be late, where the caller left next to no time: a header says so before anybody looks into the body.
    """
    forgiven = _parameters(case).get("on_error") == "null"
    if _was_late(case, response) or (forgiven and response.status_code == _OK and _some_refused(response)):
        return
    negative_data_rejection(ctx, response, case)


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case[Any], kwargs: Any) -> None:  # noqa: ARG001  # the hook's signature
    """Every other valid request asks about entities that exist."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for instance in _instances(case):
        seed = crc32(repr(instance).encode("utf-8", "surrogatepass"))
        if seed % 2:
            continue
        for at, (name, keys) in enumerate(_KEYS.items()):
            if isinstance(instance, dict) and name in instance:
                instance[name] = keys[seed % len(keys)]
            elif isinstance(instance, list) and len(instance) > at:
                instance[at] = keys[seed % len(keys)]


def _was_late(case: schemathesis.Case[Any], response: Response) -> bool:
    return response.status_code == _TIMEOUT and _budget_ms(case) < SHORT_BUDGET_MS


def _some_refused(response: Response) -> bool:
    predictions = response.json()["predictions"]
    return any(one is None or (isinstance(one, dict) and "error" in one) for one in predictions)


def _beyond_schemas(instance: Any) -> bool:
    values = instance if isinstance(instance, list) else [instance]
    if isinstance(instance, dict):
        if "b64" in instance:
            return True
        values = list(instance.values())
    return any(isinstance(value, int) and not -_INT64 <= value < _INT64 for value in values)


def _instances(case: schemathesis.Case[Any]) -> list[Any]:
    body = case.body
    instances = body.get("instances") if isinstance(body, dict) else None
    return instances if isinstance(instances, list) else []


def _parameters(case: schemathesis.Case[Any]) -> dict[str, Any]:
    parameters = case.body.get("parameters") if isinstance(case.body, dict) else None
    return parameters if isinstance(parameters, dict) else {}


def _budget_ms(case: schemathesis.Case[Any]) -> float:
    """The least time that the request allows, in milliseconds."""
    asked = [_parameters(case).get("timeout_ms")]
    asked += [value for name, value in (case.headers or {}).items() if name.lower() == "x-request-timeout-ms"]
    return min(map(_number, asked), default=math.inf)


def _number(value: Any) -> float:
    """The number that a budget says; none where it says none."""
    try:
        return math.inf if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.inf
