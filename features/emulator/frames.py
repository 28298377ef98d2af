"""HTTP/2 frames, as far as a proxy must know them: where one ends, and how to say GOAWAY.

Source: RFC 9113, sections 4.1 and 6.8.
"""

from typing import Final

_HEAD_BYTES: Final = 9  # length (3), type (1), flags (1), stream (4)
_GOAWAY: Final = 7
_LAST_POSSIBLE_STREAM: Final = 2**31 - 1

GARBAGE: Final = b"HTTP/1.1 500 Internal Server Error\r\n\r\n"
"""What something in between might say, that speaks HTTP/1.1: read as a frame, longer than any client takes."""


def goaway(*, refuse: bool) -> bytes:
    """The frame by which a server says that it takes no more calls on this connection.

    Args:
        refuse: The calls under way are not answered either; their client may repeat them elsewhere.
    """
    last_stream = 0 if refuse else _LAST_POSSIBLE_STREAM
    payload = last_stream.to_bytes(4) + (0).to_bytes(4)  # error code: NO_ERROR
    return len(payload).to_bytes(3) + bytes([_GOAWAY, 0]) + (0).to_bytes(4) + payload


class FrameBoundary:
    """Follows a stream of frames and knows whether it stands between two of them."""

    __slots__ = ("_head", "_payload_left")

    def __init__(self) -> None:
        self._head = b""
        self._payload_left = 0

    @property
    def between(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._head and not self._payload_left

    def advance(self, data: bytes) -> int:
        """Moves over `data`; returns the first offset in it after which a frame begins, or -1."""
        position, first = 0, -1
        while position < len(data):
            if self._payload_left:
                step = min(self._payload_left, len(data) - position)
                self._payload_left -= step
            else:
                step = min(_HEAD_BYTES - len(self._head), len(data) - position)
                self._head += data[position : position + step]
                if len(self._head) == _HEAD_BYTES:
                    self._payload_left = int.from_bytes(self._head[:3])
                    self._head = b""
            position += step
            if first < 0 and self.between:
                first = position
        return first
