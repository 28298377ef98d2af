"""The framing of TFRecord files. The one door to google_crc32c.

Source: tensorflow/core/lib/io/record_writer.h: length (uint64, little endian), masked CRC32C of the length, data,
masked CRC32C of the data; the mask is a rotation by 15 bits plus a constant.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

import google_crc32c

from service.errors import TableError

_HEADER: Final = struct.Struct("<QI")
_FOOTER: Final = struct.Struct("<I")
_MASK: Final = 0xA282EAD8
_MAX_BYTES: Final = 16 << 20
"""No instance is nearly so long; what says so is no TFRecord, and memory is not to be filled on its word."""


class Record(NamedTuple):
    """One record, and whether its checksum is right."""

    data: bytes
    sound: bool


def records(file: BinaryIO, name: str) -> Iterator[Record]:
    """The records of a file, in order.

    Args:
        file: The bytes.
        name: What to call the file in messages.

    Raises:
        TableError: It is cut short, or the length of a record is damaged, so that nobody knows where the next begins.
    """
    number = 0
    while header := file.read(_HEADER.size):
        number += 1
        where = f"{name}: record {number}"
        if len(header) < _HEADER.size:
            raise TableError(f"{where}: the file ends in the middle of it; it is cut short: copy it again")
        length, checksum = _HEADER.unpack(header)
        if masked_crc32c(header[:8]) != checksum or length > _MAX_BYTES:
            hint = "is this a TFRecord file?" if number == 1 else "copy the file again"
            raise TableError(f"{where}: the record's length is damaged, so no later one can be found; {hint}")
        body = file.read(length + _FOOTER.size)
        if len(body) < length + _FOOTER.size:
            raise TableError(f"{where}: the file ends in the middle of it; it is cut short: copy it again")
        data = body[:length]
        yield Record(data, _FOOTER.unpack_from(body, length)[0] == masked_crc32c(data))


def framed(data: bytes) -> bytes:
    """A record as it is in a file."""
    length = struct.pack("<Q", len(data))
    checksums = [_FOOTER.pack(masked_crc32c(part)) for part in (length, data)]
    return length + checksums[0] + data + checksums[1]


def masked_crc32c(data: bytes) -> int:
    """The checksum of some bytes, masked."""
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF
