"""The figures to hold: what each is, its bar and its far goal. Stated before anything was measured."""

from dataclasses import dataclass
from typing import Final

from load_tests.objectives import Sense


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table.

    Attributes:
        name: What it is called on the command line.
        figure: What is measured.
        sense: On which side of bar and far goal the figure must be.
        bar: Must be met.
        far: Would be fine.
        unit: Of all three; none for a ratio.
    """

    name: str
    figure: str
    sense: Sense
    bar: float
    far: float
    unit: str = ""

    def reaches(self, figure: float, goal: float) -> bool:
        """Whether a figure is on the right side; NaN is on none."""
        return figure <= goal if self.sense == "<=" else figure >= goal


# What naive and naive-loop are, and why each is judged by where it is: see `baselines.naive`.
ROWS: Final = (
    Row("warm-plain", "one warm ID, requests/s at 64 connections ÷ hello; plain", ">=", 1.1, 2.0),
    Row("warm-demo", "one warm ID, requests/s at 64 connections ÷ hello; demo", ">=", 0.8, 1.2),
    Row("batch-plain", "1,000 warm IDs in one request ÷ CatBoost alone (time); plain", "<=", 3.0, 2.0),
    Row("batch-demo", "1,000 warm IDs in one request ÷ CatBoost alone (time); demo", "<=", 6.0, 3.0),
    Row("cold-one", "one cold ID, p50 beyond the store's own latency", "<=", 1.5, 0.8, "ms"),
    Row("cold-hundred", "100 cold IDs in one request, p50, store at 5 ms", "<=", 12.0, 8.0, "ms"),
    Row("naive-warm", "one warm ID, requests/s at 64 connections ÷ naive-loop, store at 5 ms", ">=", 50.0, 100.0),
    Row("naive-cold", "100 cold IDs in one request, naive ÷ ours (time), store at 5 ms", ">=", 50.0, 90.0),
    Row("telemetry", "one warm ID, requests/s at 64 connections, telemetry on ÷ off", ">=", 0.9, 0.95),
    Row("offline-demo", "a file of a million rows, rows/s ÷ CatBoost alone; demo", ">=", 0.1, 0.3),
    Row(
        "offline-emulator", "a file of IDs each of which is read, store at 5 ms; plain", ">=", 20_000, 40_000, "rows/s"
    ),
    Row("start", "process start to ready, p95", "<=", 2.0, 1.0, "s"),
    Row("memory", "memory of one worker after traffic", "<=", 220.0, 150.0, "MB"),
    Row("cache", "cache memory per entity of 50 floats, all told", "<=", 1.2, 0.8, "kB"),
)

BY_NAME: Final = {row.name: row for row in ROWS}

SECTIONS: Final = ("load", "rate")
"""What is told beside the rows: latency by connections and by IDs per request, and latency over the rate."""
