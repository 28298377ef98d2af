"""The way of a connection's bytes to the client, where they can be cut off, slowed and mixed with others."""

import asyncio
import socket
import struct
from typing import Final

from features.emulator.fault_rules import FaultKind, FaultRule
from features.emulator.frames import GARBAGE, FrameBoundary, goaway

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST, not FIN


class Outlet:
    """Passes the server's bytes on to the client.

    Args:
        client: The client's transport.
    """

    __slots__ = (
        "_boundary",
        "_chunk_bytes",
        "_client",
        "_every_s",
        "_held",
        "_insert",
        "_left",
        "_slow_left",
        "_timer",
    )

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client
        self._boundary = FrameBoundary()
        self._insert = b""  # goes in where a frame ends
        self._left: int | None = None  # bytes until the reset; None for no reset
        self._slow_left = 0  # bytes that still trickle
        self._chunk_bytes = 1
        self._every_s = 0.0
        self._held = bytearray()  # bytes that wait for their turn to trickle
        self._timer: asyncio.TimerHandle | None = None

    def suffer(self, rule: FaultRule) -> None:
        """Makes a fault of the connection happen to what is passed on from here."""
        match rule.kind:
            case FaultKind.RESET:
                self._left = rule["after_bytes"]
            case FaultKind.SLOW_DRIP:
                self._slow_left = rule["bytes"]
                self._chunk_bytes, self._every_s = rule["chunk_bytes"], rule["every_ms"] / 1_000
            case FaultKind.GOAWAY:
                self._insert_frame(goaway(refuse=rule["refuse"]))
            case FaultKind.MALFORMED:
                self._insert_frame(GARBAGE)

    def heal(self) -> None:
        """Ends what the bytes suffer, and passes on at once what was held back."""
        self._left, self._slow_left, self._insert = None, 0, b""
        if self._timer is not None:
            self._timer.cancel()
            self._trickle()

    def write(self, data: bytes) -> None:
        """Passes bytes on, as the faults allow."""
        ends_at = self._boundary.advance(data)
        if self._insert and ends_at >= 0:
            data = data[:ends_at] + self._insert + data[ends_at:]
            self._insert = b""
        self._queue(data)

    def reset(self) -> None:
        """Ends the connection at once, by a TCP reset."""
        self.close()
        bare = self._client.get_extra_info("socket")
        if bare is not None and not self._client.is_closing():
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._client.abort()

    def close(self) -> None:
        """Holds nothing back any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _insert_frame(self, frame: bytes) -> None:
        if self._boundary.between:
            self._queue(frame)
        else:
            self._insert += frame

    def _queue(self, data: bytes) -> None:
        if not self._held and not self._slow_left:
            self._pass(data)
            return
        self._held += data
        if self._timer is None:
            self._trickle()

    def _trickle(self) -> None:
        self._timer = None
        count = min(self._chunk_bytes, self._slow_left) or len(self._held)
        chunk = bytes(self._held[:count])
        del self._held[:count]
        self._slow_left -= min(self._slow_left, len(chunk))
        self._pass(chunk)
        if self._held:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._trickle)

    def _pass(self, data: bytes) -> None:
        if self._client.is_closing():
            return
        if self._left is None:
            self._client.write(data)
            return
        self._client.write(data[: self._left])
        self._left -= len(data)
        if self._left < 0:
            self.reset()
