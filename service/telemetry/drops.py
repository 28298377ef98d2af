"""What telemetry had to leave out: counted, because nobody else would notice."""

from collections.abc import Mapping
from threading import Lock
from typing import Final, Literal

Signal = Literal["metrics", "traces", "logs"]
"""The signals of OpenTelemetry."""


class Drops:
    """How many pieces of each signal never reached their destination: exports of metrics, spans, log lines.

    Exporters count here from threads of their own, so an addition is made under a lock; it is held for that alone.
    """

    __slots__ = ("_counts", "_lock")

    def __init__(self) -> None:
        self._counts: Final[dict[Signal, int]] = {"metrics": 0, "traces": 0, "logs": 0}
        self._lock: Final = Lock()

    def __repr__(self) -> str:
        return f"<Drops {self._counts}>"

    def add(self, signal: Signal, n: int = 1) -> None:
        """Counts `n` more pieces of `signal`."""
        with self._lock:
            self._counts[signal] += n

    def counts(self) -> Mapping[Signal, int]:
        """Pieces dropped so far, by signal; one that lost nothing is there with 0."""
        with self._lock:
            return dict(self._counts)
