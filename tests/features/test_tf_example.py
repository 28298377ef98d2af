"""A serialized tf.train.Example is read as TensorFlow wrote it; anything else is not one."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.tf_example import FIRST_BYTE, Example, read_example


def test_what_tensorflow_writes_is_read() -> None:
    # printed by Vertex AI batch prediction for a TFRecord with the feature `value` = b"3"
    assert read_example(base64.b64decode("ChAKDgoFdmFsdWUSBQoDCgEz")) == {"value": [b"3"]}


def test_every_kind_of_value_is_read() -> None:
    made = Example()
    made.features.feature["text"].bytes_list.value.extend([b"a", b"\xff"])
    made.features.feature["number"].float_list.value.append(0.5)
    made.features.feature["count"].int64_list.value.append(-3)
    made.features.feature["nothing"].SetInParent()
    data = made.SerializeToString(deterministic=True)
    assert data[0] == FIRST_BYTE
    assert read_example(data) == {"text": [b"a", b"\xff"], "number": [0.5], "count": [-3], "nothing": []}


@pytest.mark.parametrize("data", [b"\nC1", b"\n\xff", b"\n\x05\n\x03\n\x01", b"plain text"])
def test_what_does_not_parse_whole_is_none(data: bytes) -> None:
    assert read_example(data) is None


@given(st.binary(max_size=60))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    read_example(bytes([FIRST_BYTE]) + data)
