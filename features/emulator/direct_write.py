"""Applies a direct write to the embedded store's file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from features.clock import Clock
from features.emulator.codes import CODES, Refused, not_found
from features.emulator.keys import asked_key, check_parts
from features.errors import StoreFileError
from features.stores.base import StoredView
from features.stores.sqlite_writer import SqliteWriter
from features.stores.vertex_decoding import set_time
from features.stores.vertex_messages import DirectWriteResponse
from features.values import Column, EntityKey, Value, ValueMismatch, as_dtype

_PLAIN: Final = frozenset({"bool_value", "double_value", "int64_value", "string_value"})
_Moments = dict[float | None, dict[str, Value]]


def apply(path: Path, view: str, request: Any, clock: Clock) -> list[bytes]:
    """Writes each entity's values, all in one transaction; an entity is written as a whole or not at all.

    Returns:
        Serialized responses: one for what was written, one for each entity that was not.

    Raises:
        Refused: The file cannot be written, or holds no such view.
    """
    written = DirectWriteResponse()
    failed = []
    try:
        with SqliteWriter(path, clock) as writer:
            stored = writer.views().get(view)
            if stored is None:
                raise not_found()
            for entry in request.data_key_and_feature_values:
                try:
                    key, moments = _checked(entry, stored)
                except Refused as refusal:
                    failed.append(_failure(entry.data_key, refusal))
                    continue
                for moment, values in moments.items():
                    writer.put(view, key, values, moment)
                set_time(written.write_responses.add(data_key=entry.data_key).online_store_write_time, clock.wall())
    except StoreFileError as error:
        raise Refused("UNAVAILABLE", str(error)) from error
    responses = [*failed, written] if written.write_responses else failed
    return [bytes(response.SerializeToString()) for response in responses]


def _checked(entry: Any, view: StoredView) -> tuple[EntityKey, _Moments]:
    """The entity key, and its new values by the moment at which they came to be; None is now.

    Raises:
        Refused: The view has no such key or feature, or a value is of another type.
    """
    asked = asked_key(entry.data_key)
    check_parts(asked, view)
    moments: _Moments = {}
    for feature in entry.features:
        timed = feature.value_and_timestamp if feature.HasField("value_and_timestamp") else None
        moment = None
        if timed is not None and timed.HasField("timestamp"):
            moment = timed.timestamp.seconds + timed.timestamp.nanos / 1e9
        value = _value(feature.name, feature.value if timed is None else timed.value, view.columns)
        moments.setdefault(moment, {})[feature.name] = value
    parts = tuple(asked.message.composite_key.parts)
    return (parts if len(parts) > 1 else asked.text), moments


def _value(name: str, message: Any, columns: Mapping[str, Any]) -> Value:
    kind = message.WhichOneof("value")
    if name not in columns:
        raise Refused("INVALID_ARGUMENT", f"The view has no feature {name!r}.")
    if kind is None:
        return None
    if kind not in _PLAIN:
        raise Refused("INVALID_ARGUMENT", f"Feature {name!r}: the embedded store holds no {kind}.")
    try:
        return as_dtype(getattr(message, kind), Column(name, columns[name]))
    except ValueMismatch as error:
        raise Refused("INVALID_ARGUMENT", f"Feature {name!r}: {error}.") from error


def _failure(data_key: Any, refusal: Refused) -> Any:
    response = DirectWriteResponse()
    response.status.code, response.status.message = CODES[refusal.code].number, refusal.message
    response.write_responses.add(data_key=data_key)
    return response
