"""`tf.train.Example`: how Vertex AI batch prediction sends a TFRecord.

Source: tensorflow/core/example/{example,feature}.proto; field numbers as there.
"""

from typing import Any, Final

from features.protos import DecodeError, message_classes

FIRST_BYTE: Final = 0x0A
"""How every Example that holds anything begins: field 1, length-delimited."""

Example: Final = message_classes(
    "tensorflow",
    """
BytesList
  1 value bytes repeated
FloatList
  1 value float repeated
Int64List
  1 value int64 repeated
Feature
  1 bytes_list BytesList @kind
  2 float_list FloatList @kind
  3 int64_list Int64List @kind
Features
  1 feature Features.FeatureEntry repeated
Features.FeatureEntry
  1 key string
  2 value Feature
Example
  1 features Features
""",
)["Example"]


def read_example(data: bytes) -> dict[str, list[Any]] | None:
    """Name to list of values (bytes, floats or integers) of a serialized Example; None if `data` is not one."""
    try:
        parsed = Example.FromString(data)
    except DecodeError:
        return None
    found: dict[str, list[Any]] = {}
    for name, feature in parsed.features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = list(getattr(feature, kind).value) if kind else []
    return found
