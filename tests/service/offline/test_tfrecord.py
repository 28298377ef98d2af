"""TFRecords are read as TensorFlow writes them, and what is damaged is told apart from what is whole."""

import io

import pytest

from service.errors import TableError
from service.offline.tfrecord import Record, framed, masked_crc32c, records


def test_checksums_are_those_of_the_format() -> None:
    # CRC-32C of "123456789" is 0xE3069283 (RFC 3720, appendix B.4, and every catalogue of CRCs)
    assert masked_crc32c(b"123456789") == (((0xE3069283 >> 15) | (0xE3069283 << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_records_come_as_they_were_written() -> None:
    written = [b"abc", b"", bytes(70_000)]
    assert list(records(io.BytesIO(b"".join(map(framed, written))), "x")) == [
        Record(data, sound=True) for data in written
    ]


def test_a_changed_byte_is_found() -> None:
    data = bytearray(framed(b"abc") + framed(b"def"))
    data[13] ^= 1
    assert [one.sound for one in records(io.BytesIO(data), "x")] == [False, True]


@pytest.mark.parametrize("length", range(1, len(framed(b"abc"))))
def test_a_file_that_ends_early_is_refused_wherever_it_ends(length: int) -> None:
    with pytest.raises(TableError, match="x: record 2: the file ends in the middle of it"):
        list(records(io.BytesIO(framed(b"abc") + framed(b"abc")[:length]), "x"))
