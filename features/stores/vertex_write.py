"""Writes one entity's values to a feature view: `FeatureViewDirectWrite`, one message on a short stream of its own.

What goes wrong is told in the store's own words: whoever writes is the operator, not a caller of the service.

Source: https://cloud.google.com/vertex-ai/docs/reference/rpc/google.cloud.aiplatform.v1beta1#featureonlinestoreservice
"""

from collections.abc import Mapping
from typing import Any, Final

from features.errors import WriteFailed
from features.protos import DecodeError
from features.stores.vertex_channel import CallFailed, VertexChannel
from features.stores.vertex_decoding import encode_data_key, set_time
from features.stores.vertex_messages import V1BETA1, DirectWriteRequest, DirectWriteResponse
from features.values import EntityKey, Value

_DIRECT_WRITE: Final = V1BETA1 + "FeatureViewDirectWrite"
_FIELDS: Final = {bool: "bool_value", int: "int64_value", float: "double_value", str: "string_value"}


async def direct_write(
    channel: VertexChannel,
    feature_view: str,
    key: EntityKey,
    values: Mapping[str, Value],
    moment: float,
    *,
    timeout_s: float,
) -> None:
    """Sets values of one entity; its others stay. Returns when the store has confirmed it.

    Args:
        channel: To the host of the view's region, or an emulator.
        feature_view: The view's resource name.
        key: The entity key.
        values: Feature name to value; a value's Python type is the type it is written as, None writes null.
        moment: When the values came to be, in Unix seconds.
        timeout_s: How long to wait for the confirmation.

    Raises:
        WriteFailed: It was refused, or not confirmed.
        StoreDenied: There are no credentials.
    """
    request = DirectWriteRequest(feature_view=feature_view)
    entry = request.data_key_and_feature_values.add(data_key=encode_data_key(key))
    for name, value in values.items():
        timed = entry.features.add(name=name).value_and_timestamp
        timed.value.SetInParent()  # null is a value of no type
        if value is not None:
            setattr(timed.value, _FIELDS[type(value)], value)
        set_time(timed.timestamp, moment)
    answers: list[bytes] = []
    try:
        await channel.exchange(_DIRECT_WRITE, request.SerializeToString(), feature_view, timeout_s, answers.append)
    except CallFailed as failed:
        raise WriteFailed(_in_words(failed, channel.host, feature_view)) from failed
    confirmed = [_confirms(answer) for answer in answers]  # all of them: a later one may be a refusal
    if not any(confirmed):
        raise WriteFailed(f"{channel.host} did not confirm the write; read the entity to see whether it was made")


def _confirms(data: bytes) -> bool:
    """Whether an answer says that the entity was written.

    Raises:
        WriteFailed: It says that it was not, or cannot be read.
    """
    try:
        answer: Any = DirectWriteResponse.FromString(data)
    except DecodeError:
        raise WriteFailed("the store's answer is not a message that can be read") from None
    if answer.status.code:
        raise WriteFailed(f"the store refused the write: {answer.status.message or answer.status.code}")
    return len(answer.write_responses) > 0


def _in_words(failed: CallFailed, host: str, feature_view: str) -> str:
    if failed.code == "NOT_FOUND":
        return f"{host} has no feature view {feature_view}"
    said = " ".join(failed.details.split())
    return f"{host} answered {failed.code}: {said}" if said else f"{host} answered {failed.code}"
