"""What a job has done, for its closing summary; adds up over parts, so that a resumed job tells of all of it."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from features.values import Status
from service.offline.outcomes import Outcome


@dataclass(slots=True)
class Totals:
    """What has been done.

    Attributes:
        rows: Rows of the input, failed ones too.
        failed: Rows without a score.
        defaulted: Declared defaults used for absent values.
        degraded: Values substituted because of an error.
        too_old: Values of the store that were older than they may be.
        oldest_age_s: Age by event time of the oldest value that was used; None if none is dated.
    """

    rows: int = 0
    failed: int = 0
    defaulted: int = 0
    degraded: int = 0
    too_old: int = 0
    oldest_age_s: float | None = None

    @classmethod
    def of(cls, outcome: Outcome, oldest_age_s: float | None) -> Self:
        """What was done in one chunk; the oldest value may be one of those before it."""
        assembly = outcome.scored.assembly
        too_old = sum(count for (_, status), count in assembly.absent.items() if status == Status.OUTSIDE_MAX_AGE)
        return cls(
            outcome.size,
            len(outcome.failures),
            sum(assembly.defaulted.values()),
            sum(assembly.degraded.values()),
            too_old,
            oldest_age_s,
        )

    def add(self, other: "Totals") -> None:
        """Adds what else was done."""
        self.rows += other.rows
        self.failed += other.failed
        self.defaulted += other.defaulted
        self.degraded += other.degraded
        self.too_old += other.too_old
        ages = [age for age in (self.oldest_age_s, other.oldest_age_s) if age is not None]
        self.oldest_age_s = max(ages, default=None)

    def members(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)
