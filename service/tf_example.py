"""`tf.train.Example`: how Vertex AI batch prediction sends a TFRecord. The one door to protobuf.

The message is declared here, by hand, in a descriptor pool of our own, so that TensorFlow or Google's clients can be
loaded in the same process without a clash of names.

Source: tensorflow/core/example/{example,feature}.proto; field numbers as there.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

FIRST_BYTE: Final = 0x0A
"""How every Example that holds anything begins: field 1, length-delimited."""

_Field = descriptor_pb2.FieldDescriptorProto
_KINDS: Final = (
    ("bytes_list", "BytesList", _Field.TYPE_BYTES),
    ("float_list", "FloatList", _Field.TYPE_FLOAT),
    ("int64_list", "Int64List", _Field.TYPE_INT64),
)


def _example_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="keyscore_example.proto", package="tensorflow", syntax="proto3")
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, kind, scalar) in enumerate(_KINDS, start=1):
        listed = file.message_type.add(name=kind)
        listed.field.add(name="value", number=1, label=_Field.LABEL_REPEATED, type=scalar)
        feature.field.add(
            name=name,
            number=number,
            label=_Field.LABEL_OPTIONAL,
            type=_Field.TYPE_MESSAGE,
            type_name=f".tensorflow.{kind}",
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
    _message_field(entry, "value", 2, "Feature")
    features.field.add(
        name="feature",
        number=1,
        label=_Field.LABEL_REPEATED,
        type=_Field.TYPE_MESSAGE,
        type_name=".tensorflow.Features.FeatureEntry",
    )
    _message_field(file.message_type.add(name="Example"), "features", 1, "Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


def _message_field(parent: Any, name: str, number: int, kind: str) -> None:
    parent.field.add(
        name=name,
        number=number,
        label=_Field.LABEL_OPTIONAL,
        type=_Field.TYPE_MESSAGE,
        type_name=f".tensorflow.{kind}",
    )


Example: Final = _example_class()


def read_example(data: bytes) -> dict[str, list[Any]] | None:
    """Name to list of values (bytes, floats or integers) of a serialized Example; None if `data` is not one."""
    try:
        parsed = Example.FromString(data)
    except message.DecodeError:
        return None
    found: dict[str, list[Any]] = {}
    for name, feature in parsed.features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = list(getattr(feature, kind).value) if kind else []
    return found
