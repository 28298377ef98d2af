"""Between Vertex AI's messages and ours. Pure.

Values are read by presence, never by truth: `False`, `0` and `""` are values, a value with nothing set is null.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from features.errors import StoreAnswerInvalid
from features.protos import DecodeError
from features.stores.base import ReadAnswer
from features.stores.vertex_messages import DataKey, FetchResponse, StreamingResponse
from features.values import EntityKey, RowLayout, Value, ValueMismatch

_SCALARS: Final = frozenset({"bool_value", "double_value", "int64_value", "string_value"})


def encode_data_key(key: EntityKey) -> Any:
    """The `FeatureViewDataKey` of an entity key; parts of a composite key are in the view's order already."""
    if isinstance(key, str):
        return DataKey(key=key)
    data_key = DataKey()
    data_key.composite_key.parts.extend(key)
    return data_key


def decode_data_key(data_key: Any) -> EntityKey | None:
    """The entity key that a message names; None if it names none. A composite of one part is that part."""
    kind = data_key.WhichOneof("key_oneof")
    if kind == "key":
        return str(data_key.key)
    if kind == "composite_key":
        parts = tuple(data_key.composite_key.parts)
        return parts[0] if len(parts) == 1 else parts
    return None


def decode_fetch_response(data: bytes, key: EntityKey, decode: Callable[[Any], ReadAnswer]) -> ReadAnswer:
    """The answer to a unary read of `key`, whose features `decode` reads."""
    try:
        message = FetchResponse.FromString(data)
    except DecodeError:
        return StoreAnswerInvalid("the answer is not a message that can be read")
    named = decode_data_key(message.data_key)
    if named is not None and named != key:
        return StoreAnswerInvalid("the answer is about another entity")
    return decode(message)


def decode_message(data: bytes) -> Any:
    """The `StreamingFetchFeatureValuesResponse` that was sent.

    Raises:
        StoreAnswerInvalid: It is no such message.
    """
    try:
        return StreamingResponse.FromString(data)
    except DecodeError:
        raise StoreAnswerInvalid("the answer is not a message that can be read") from None


def decode_features(message: Any, layout: RowLayout) -> ReadAnswer:
    """The row in a `FetchFeatureValuesResponse`; None when it says nothing about any feature.

    A name that comes twice: the last one counts, as in every map on the wire.
    """
    if message.WhichOneof("format") is None:
        return None
    values: dict[str, Value] = {}
    times: dict[str, float | None] = {}
    last, moment = None, None
    try:
        for pair in message.key_values.features:
            name, value = pair.name, pair.value
            kind = value.WhichOneof("value")
            # A type we do not take is handed on as a list, which fits no column that the model needs.
            values[name] = None if kind is None else getattr(value, kind) if kind in _SCALARS else _UNFIT
            metadata = value.metadata
            if metadata != last:  # as a rule all values of a row are of one time
                last, moment = metadata, seconds_of(metadata)
            times[name] = moment
        return _row(values, times, layout)
    except ValueMismatch as error:
        return StoreAnswerInvalid(str(error))


_UNFIT: Final[Any] = ()


def _row(values: Mapping[str, Value], times: Mapping[str, float | None], layout: RowLayout) -> ReadAnswer:
    if len(set(times.values())) == 1 and times.keys() >= layout.names:
        return layout.pack(values, next(iter(times.values())))
    dated = {
        times.get(column.name)
        for column in layout.columns
        if values.get(column.name) is not None or times.get(column.name) is not None  # a null may be dated or not
    }
    if len(dated) == 1:
        return layout.pack(values, dated.pop())
    return layout.pack(values, None, times)


def seconds_of(metadata: Any) -> float | None:
    """The Unix seconds at which a value came to be, as its `FeatureValue.Metadata` says; None if it does not."""
    if not metadata.HasField("generate_time"):
        return None
    moment = metadata.generate_time
    return float(moment.seconds + moment.nanos * 1e-9)


def set_time(timestamp: Any, moment: float) -> None:
    """Sets a protobuf `Timestamp` to Unix seconds, exact to the microsecond."""
    seconds, microseconds = divmod(round(moment * 1_000_000), 1_000_000)
    timestamp.seconds, timestamp.nanos = seconds, 1_000 * microseconds
