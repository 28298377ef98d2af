"""Answers on their way out: one per key, and how a stream's response message is made of many.

Serialized messages are put together as bytes: in protobuf's format a field may be appended to a message, and a
sub-message is its length and its bytes. Parsing and serializing 100 rows again would take 1 ms.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from features.emulator.codes import CODES, Refused
from features.emulator.keys import AskedKey
from features.stores.vertex_messages import StreamingResponse

_DATA: Final = b"\x12"  # StreamingFetchFeatureValuesResponse.data: field 2, length and bytes
_DATA_KEY: Final = b"\x22"  # FetchFeatureValuesResponse.data_key: field 4, length and bytes

MALFORMED: Final = b"\x1a\x7f\xff"
"""Parses as none of the messages: field 3 says 127 bytes and has one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said of one key.

    Attributes:
        key: The key that the answer names.
        body: Serialized `FetchFeatureValuesResponse` without its `data_key`.
    """

    key: AskedKey
    body: bytes

    def with_data_key(self) -> bytes:
        """The serialized response that names its key."""
        return self.body + _DATA_KEY + _sized(self.key.message.SerializeToString())


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer for one key."""

    key: AskedKey
    refusal: Refused


def stream_messages(answers: Sequence[Answer], failures: Iterable[Failure], most: int) -> list[bytes]:
    """Serialized `StreamingFetchFeatureValuesResponse`s: first failures, one for each status, then answers.

    Args:
        answers: In any order; the service keeps none.
        failures: Keys without an answer.
        most: How many answers one message holds at most.
    """
    statuses: dict[tuple[str, str], Any] = {}
    for failure in failures:
        refusal = failure.refusal
        response = statuses.get((refusal.code, refusal.message))
        if response is None:
            response = statuses[refusal.code, refusal.message] = StreamingResponse()
            response.status.code, response.status.message = CODES[refusal.code].number, refusal.message
        response.data_keys_with_error.append(failure.key.message)
    messages = [bytes(response.SerializeToString()) for response in statuses.values()]
    for start in range(0, len(answers), most):
        data = [_DATA + _sized(answer.with_data_key()) for answer in answers[start : start + most]]
        messages.append(b"".join(data))
    return messages


def _sized(message: bytes) -> bytes:
    """The message after its length, as a base-128 varint."""
    length = len(message)
    head = bytearray()
    while length > 0x7F:  # noqa: PLR2004  # what seven bits hold
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + message
