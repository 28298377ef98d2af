"""May this request come in? Decided at once: a request that cannot be served in time is refused, never queued.

Three things are kept apart (after Netflix/concurrency-limits): *how many* may be in flight is a `Limit`'s, *may I* is
`Admission`'s, *who watches* are the observers. Today's limit is fixed; one that follows measured latency takes its
place without anything else moving.
"""

from types import TracebackType
from typing import Protocol, Self

from features.clock import Clock
from features.deadline import Deadline
from features.events import Observer
from service.errors import Shed
from service.events import RequestShed, Watch


class Limit(Protocol):
    """How many requests may be in flight."""

    @property
    def in_flight(self) -> int:
        """The limit now; at least 1."""
        ...


class FixedLimit:
    """The same number at all times."""

    __slots__ = ("in_flight",)

    def __init__(self, in_flight: int) -> None:
        self.in_flight = in_flight


class Permit:
    """One request's place and its time; a context manager that gives the place back.

    Attributes:
        arrived: When the request arrived, on the monotonic clock.
        deadline: When its answer is worth nothing any more.
        watch: Who follows it stage by stage; most requests are not followed.
    """

    __slots__ = ("_admission", "arrived", "deadline", "watch")

    def __init__(self, admission: "Admission", arrived: float, deadline: Deadline, watch: Watch | None = None) -> None:
        self._admission = admission
        self.arrived = arrived
        self.deadline = deadline
        self.watch = watch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.in_flight -= 1


class Admission:
    """Hands out permits while there are any.

    Attributes:
        in_flight: Permits that are out.
    """

    __slots__ = ("_budget_s", "_clock", "_limit", "_observer", "in_flight")

    def __init__(self, limit: Limit, budget_s: float, clock: Clock, observer: Observer) -> None:
        """Begins with nothing in flight.

        Args:
            limit: How many permits may be out.
            budget_s: Seconds from a request's arrival to its deadline.
            clock: The time.
            observer: Who learns of refusals.
        """
        self._limit = limit
        self._budget_s = budget_s
        self._clock = clock
        self._observer = observer
        self.in_flight = 0

    def __repr__(self) -> str:
        return f"<Admission {self.in_flight}/{self._limit.in_flight} in flight>"

    def admit(self) -> Permit:
        """A permit, to be given back by leaving its context.

        Raises:
            Shed: All permits are out.
        """
        if self.in_flight >= self._limit.in_flight:
            self._observer.observe(RequestShed())
            raise Shed("too many requests are in flight; try again a little later")
        self.in_flight += 1
        arrived = self._clock.monotonic()
        return Permit(self, arrived, Deadline(arrived + self._budget_s, self._clock))
