"""Lines to a file descriptor, from a thread of its own: whoever logs never waits for whoever reads.

A pipe that nobody reads takes 64 kB and then holds its writer up for ever. Here that writer is a daemon thread; the
lines that wait for it are bounded in number and bytes, what does not fit is dropped and counted, and the count is
written as soon as writing works again.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from service.telemetry.drops import Drops

MAX_LINES: Final = 10_000
MAX_BYTES: Final = 8_000_000

_PIECE: Final = select.PIPE_BUF
"""Bytes per write. A pipe that is ready takes that many at once and whole, so that lines of several workers that share
the pipe do not mix, and no write is held up half-way."""

_GATHER_S: Final = 0.02
"""Seconds to let lines gather before they are written: a thread that woke for each would be in the event loop's way."""

_TICK_S: Final = 1.0
_LOOK_S: Final = 0.05


class LineWriter:
    """Writes lines in order as fast as they are read."""

    def __init__(self, descriptor: int, drops: Drops, extra: Callable[[int], Iterable[bytes]]) -> None:
        """Begins to write.

        Args:
            descriptor: Where to; closed at the end.
            drops: Who counts lines that were lost.
            extra: Lines of its own to write, asked for about every second, given how many lines were dropped since
                the last time.
        """
        self._descriptor = descriptor
        self._drops = drops
        self._extra = extra
        self._lines: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._given_up = False
        self._pending_lines = 0
        self._pending_bytes = 0
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="keyscore-logs", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<LineWriter {self._pending_lines}/{MAX_LINES} lines pending>"

    @property
    def full(self) -> bool:
        """Whether a line would be dropped now; asked first, because making a line costs more than dropping it."""
        return self._given_up or self._pending_lines >= MAX_LINES

    def drop(self) -> None:
        """Counts a line that is not worth making."""
        with self._lock:
            self._dropped += 1
        self._drops.add("logs", 1)

    def put(self, line: bytes) -> None:
        """Has the line written some time soon, or drops it. Never waits."""
        with self._lock:
            fits = not self.full and self._pending_bytes + len(line) <= MAX_BYTES
            if fits:
                self._lines.append(line)
                self._pending_lines += 1
                self._pending_bytes += len(line)
        if fits:
            self._wake.set()
        else:
            self.drop()

    def close(self, timeout_s: float) -> None:
        """Ends when all lines are written, or `timeout_s` is over; then the rest is dropped and counted."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)
        with self._lock:
            self._given_up = True
            lost, self._pending_lines, self._pending_bytes = self._pending_lines, 0, 0
            self._lines.clear()
        if lost:
            self._drops.add("logs", lost)

    def _run(self) -> None:
        try:
            self._write_until_closed()
        finally:
            os.close(self._descriptor)

    def _write_until_closed(self) -> None:
        while not self._given_up:
            self._wake.wait(_TICK_S)
            self._wake.clear()
            closing = self._closing.wait(_GATHER_S)
            while piece := self._next_piece():
                self._write_piece(piece)
            self._write_extra()
            if closing and not self._lines:
                return

    def _next_piece(self) -> list[bytes]:
        """As many lines as go at once, or one that is longer; none if there are none."""
        piece: list[bytes] = []
        size = 0
        with self._lock:
            while self._lines and (not piece or size + len(self._lines[0]) <= _PIECE):
                piece.append(self._lines.popleft())
                size += len(piece[-1])
        return piece

    def _write_piece(self, piece: list[bytes]) -> None:
        data = b"".join(piece)
        written = self._write(data)
        with self._lock:
            if self._given_up:
                return  # all that was pending has been counted
            self._pending_lines -= len(piece)
            self._pending_bytes -= len(data)
            self._dropped += 0 if written else len(piece)
        if not written:
            self._drops.add("logs", len(piece))

    def _write_extra(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        for line in self._extra(dropped):
            if not self._write(line):
                with self._lock:
                    self._dropped += dropped
                return

    def _write(self, data: bytes) -> bool:
        """Writes all of it, waiting until it goes; False if it does not go at all."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        rest = memoryview(data)
        while rest:
            if self._given_up:
                return False
            if not poll.poll(_LOOK_S * 1000):
                continue
            try:
                rest = rest[os.write(self._descriptor, rest[:_PIECE]) :]
            except BlockingIOError:  # somebody else filled it first
                continue
            except OSError:  # nobody will ever read it
                return False
        return True
