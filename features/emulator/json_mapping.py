"""Messages in proto3's JSON form, which the REST side speaks: camelCase, 64-bit integers as text.

Apart from `features.protos`, because the service itself never needs it.
"""

from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from features.emulator.codes import Refused
from features.stores.vertex_messages import KEY_VALUE, PROTO_STRUCT, FetchRequest, FetchResponse

_FORMATS = {"FEATURE_VIEW_DATA_FORMAT_UNSPECIFIED": 0, "KEY_VALUE": KEY_VALUE, "PROTO_STRUCT": PROTO_STRUCT}


def request_from_json(document: object, feature_view: str) -> Any:
    """The `FetchFeatureValuesRequest` that JSON in camelCase or snake_case describes.

    Raises:
        Refused: It describes none.
    """
    if not isinstance(document, dict):
        raise Refused("INVALID_ARGUMENT", "The body must be a JSON object.")
    fields = dict(document)
    for name in ("dataFormat", "data_format"):  # an enum in the original, a number in our smaller message
        if isinstance(fields.get(name), str):
            fields[name] = _FORMATS.get(fields[name], -1)
    try:
        request = ParseDict(fields, FetchRequest())
    except ParseError as error:
        raise Refused("INVALID_ARGUMENT", f"The body is no FetchFeatureValuesRequest: {error}") from error
    request.feature_view = feature_view
    return request


def response_to_json(answer: bytes) -> dict[str, Any]:
    """The JSON form of a serialized `FetchFeatureValuesResponse`."""
    document: dict[str, Any] = MessageToDict(FetchResponse.FromString(answer))
    return document
