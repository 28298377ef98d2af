"""Protocol-buffer messages from a table, in a descriptor pool of their own. The one door to protobuf.

A table line is a message's full name, or an indented field: number, name, type, and optionally `repeated` and the
oneof it belongs to:

    Key
      1 text string @kind
      2 parts string repeated

Types are scalars, messages of the same table, or messages of a well-known file. The pool is private, so that Google's
own clients or TensorFlow can be loaded in the same process and define the same names again.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, timestamp_pb2
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

__all__ = ["DecodeError", "Message", "message_classes"]

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
}
_WELL_KNOWN: Final = {
    "google.protobuf.Struct": struct_pb2.DESCRIPTOR,
    "google.protobuf.Timestamp": timestamp_pb2.DESCRIPTOR,
}


def message_classes(package: str, table: str) -> Mapping[str, Any]:
    """The classes of the messages in `table`, by their names in it.

    Args:
        package: The messages' package.
        table: See the module's docstring; a nested message is named `Outer.Inner`, after its outer one. The name of a
            map's entry ends in `Entry`.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"keyscore/{package}.proto", package=package, syntax="proto3")
    found: dict[str, Any] = {}
    oneofs: dict[str, list[str]] = {}
    for line in filter(str.strip, table.splitlines()):
        if not line.startswith(" "):
            name = line.strip()
            outer, _, inner = name.rpartition(".")
            message = found[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=name)
            message.options.map_entry = name.endswith("Entry")
            found[name] = message
        else:
            _add_field(found[name], line.split(), package, oneofs.setdefault(name, []))
    pool = descriptor_pool.DescriptorPool()
    for well_known in _used(table):
        pool.AddSerializedFile(well_known.serialized_pb)
        file.dependency.append(well_known.name)
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in found}


def _used(table: str) -> Iterable[Any]:
    return [descriptor for name, descriptor in _WELL_KNOWN.items() if name in table]


def _add_field(message: Any, words: list[str], package: str, oneofs: list[str]) -> None:
    number, name, kind, *flags = words
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{kind}" if kind in _WELL_KNOWN else f".{package}.{kind}"
    for flag in flags:
        if flag == "repeated":
            field.label = _Field.LABEL_REPEATED
        else:
            oneof = flag.removeprefix("@")
            if oneof not in oneofs:
                oneofs.append(oneof)
                message.oneof_decl.add(name=oneof)
            field.oneof_index = oneofs.index(oneof)
