"""What a request demands: its `parameters`, and those that hold where it does not say."""

from typing import Any, Final

import orjson
from pydantic import ValidationError

from service.errors import RequestInvalid, StartError
from service.schemas import Parameters

SHIPPED: Final = Parameters()
"""What holds where nobody says."""


def usual_parameters(text: str | None) -> Parameters:
    """What holds where a request does not say: the setting's JSON object, and what is shipped.

    Raises:
        StartError: It is not such an object.
    """
    try:
        return parse_parameters(None if text is None else orjson.loads(text))
    except (orjson.JSONDecodeError, RequestInvalid) as error:
        raise StartError(f"KEYSCORE_PARAMETERS must be a JSON object of request parameters: {error}") from None


def parse_parameters(sent: Any, usual: Parameters = SHIPPED) -> Parameters:
    """The request's `parameters`; null and an absent member both mean none.

    Args:
        sent: What JSON made of them.
        usual: What holds where they do not say.

    Raises:
        RequestInvalid: A parameter is unknown or its value is not allowed.
    """
    if sent is None:
        return usual
    if not isinstance(sent, dict):
        raise RequestInvalid('"parameters" must be an object')
    try:
        return Parameters.model_validate(sent if usual is SHIPPED else {**usual.model_dump(exclude_unset=True), **sent})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        if first["type"] == "extra_forbidden":
            raise RequestInvalid(f"parameters may hold {', '.join(Parameters.model_fields)}, nothing else") from None
        quoted = ", a text in quotes" if first["type"] == "literal_error" else ""  # null is not "null"
        raise RequestInvalid(f"parameters: {first['loc'][0]!r}: {first['msg']}{quoted}") from None
