"""Makes a message of a stored row, quickly: a store's first reads of its entities are what people measure."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from features.stores.vertex_decoding import set_time
from features.stores.vertex_messages import FeatureValue, FetchResponse
from features.values import DType

_FIELD: Final = {
    DType.FLOAT: "double_value",
    DType.INT: "int64_value",
    DType.BOOL: "bool_value",
    DType.STRING: "string_value",
}


class RowMessages:
    """Makes serialized `FetchFeatureValuesResponse`s of one view's rows, every column in order.

    Args:
        columns: The view's columns with their types.
    """

    __slots__ = ("_fields", "_names_alone")

    def __init__(self, columns: Mapping[str, DType]) -> None:
        self._fields = [(name, _FIELD[dtype]) for name, dtype in columns.items()]
        answer = FetchResponse()
        for name in columns:
            answer.key_values.features.add(name=name).value.SetInParent()
        # To parse this and fill it in takes half as long as to build it up again.
        self._names_alone = answer.SerializeToString()

    def key_values(self, record: bytes) -> bytes:
        """The row in the format KEY_VALUE: each value with its time; null is a value of no type."""
        row = orjson.loads(record)
        values: Mapping[str, Any] = row["values"]
        times: Mapping[str, float | None] = row.get("event_times") or {}
        row_time = row.get("event_time")
        made: dict[float, Any] = {}
        answer = FetchResponse.FromString(self._names_alone)
        for pair, (name, field) in zip(answer.key_values.features, self._fields, strict=True):
            value = values.get(name)
            if value is not None:
                setattr(pair.value, field, value)
            moment = times.get(name, row_time)
            if moment is not None:
                if moment not in made:
                    made[moment] = _metadata(moment)
                pair.value.metadata.CopyFrom(made[moment])
        return bytes(answer.SerializeToString())

    def struct(self, record: bytes) -> bytes:
        """The row in the format PROTO_STRUCT, which makes floats of integers and says no times."""
        values: Mapping[str, Any] = orjson.loads(record)["values"]
        answer = FetchResponse()
        answer.proto_struct.update({name: values.get(name) for name, _ in self._fields})
        return bytes(answer.SerializeToString())


def _metadata(moment: float) -> Any:
    value = FeatureValue()
    set_time(value.metadata.generate_time, moment)
    return value.metadata
