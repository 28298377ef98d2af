"""Several processes on one port: started, watched, replaced when they die, stopped together.

The parent binds the port and serves nothing itself. Every worker is a service of its own, with its own cache, limits
and telemetry; the kernel hands each new connection to one of those that listen. If one of the first workers cannot
start, none can, and that is the end; one that cannot be replaced at the moment is tried again, while the others serve.
"""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Final, Protocol

from service.errors import StartError

log = logging.getLogger("keyscore")

_SPAWN: Final = multiprocessing.get_context("spawn")
"""Forking is no choice: gRPC's threads do not survive it."""

_STOP_S: Final = 9.5
"""Seconds for the workers to stop; each bounds its own end below that."""

_START_FAILED: Final = 1
"""A worker's exit code when it could not start."""

_PAUSE_S: Final = 1.0
"""Seconds until the next try to replace a worker, after one that could not start."""


class Work(Protocol):
    """What a worker does; it is sent to another process, so it must be a function of a module."""

    def __call__(self, sockets: Sequence[socket.socket], *, first: bool) -> int:
        """Serves until a signal says stop; returns the exit code.

        Args:
            sockets: The bound sockets.
            first: Whether it is the one that greets.
        """
        ...


def supervise(work: Work, sockets: Sequence[socket.socket], count: int) -> None:
    """Keeps `count` workers running until a signal says stop.

    Args:
        work: What each of them does.
        sockets: Bound sockets, shared by all.
        count: How many workers, at least 1.

    Raises:
        StartError: A worker could not start; it has said why.
    """
    _Supervisor(work, sockets, count).run()


class _Supervisor:
    def __init__(self, work: Work, sockets: Sequence[socket.socket], count: int) -> None:
        self._work = work
        self._sockets = sockets
        self._count = count
        self._workers: list[SpawnProcess] = []
        self._replacements = 0
        self._told: set[int] = set()
        self._stopping = False
        # A signal does not end a wait; a byte in this pipe, which the interpreter writes, does.
        self._woken, self._waker = socket.socketpair()

    def run(self) -> None:
        self._waker.settimeout(0.0)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.set_wakeup_fd(self._waker.fileno())
        try:
            for place in range(self._count):
                if not self._stopping:
                    self._workers.append(self._started(first=place == 0))
            while not self._stopping:
                wait([self._woken, *(worker.sentinel for worker in self._workers)])
                self._replace_dead()
        finally:
            signal.set_wakeup_fd(-1)
            self._end()

    def _started(self, *, first: bool = False) -> SpawnProcess:
        worker = _SPAWN.Process(target=_run, args=(self._work, self._sockets), kwargs={"first": first})
        worker.start()
        return worker

    def _replace_dead(self) -> None:
        for place, worker in enumerate(self._workers):
            if self._stopping or worker.exitcode is None:
                continue
            if worker.exitcode == _START_FAILED:
                if not self._replacements:
                    raise StartError("a worker could not start; it says above why")
                wait([self._woken], _PAUSE_S)
                if self._stopping:
                    return
            self._replacements += 1
            self._workers[place] = self._started()
            log.warning("worker %s ended with exit code %s; another takes its place", worker.pid, worker.exitcode)

    def _stop(self, number: int, frame: object) -> None:  # noqa: ARG002  # as the signal module calls it
        self._stopping = True
        self._tell(number, [worker for worker in self._workers if worker.exitcode is None])

    def _tell(self, number: int, workers: Iterable[SpawnProcess]) -> None:
        for worker in workers:
            if worker.pid is not None:
                self._told.add(worker.pid)
                os.kill(worker.pid, number)

    def _end(self) -> None:
        for one in self._sockets:
            one.close()  # as long as anybody holds the port, the kernel takes connections that nobody will answer
        # Also those that were being started while the order came; for the others a second one would end the draining.
        running = [worker for worker in self._workers if worker.exitcode is None and worker.pid not in self._told]
        self._tell(signal.SIGTERM, running)
        deadline = time.monotonic() + _STOP_S
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.exitcode is None:
                worker.kill()


def _run(work: Work, sockets: Sequence[socket.socket], *, first: bool) -> None:
    sys.exit(work(sockets, first=first))
