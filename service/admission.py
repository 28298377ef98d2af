"""May this request come in? Decided from its headers alone, as a rule once its body has come, too (`service.door`).

What cannot be served in time is refused, never queued.

Three things are kept apart (after Netflix/concurrency-limits): *how many* may be in flight is a `Limit`'s, *may I* is
`Admission`'s, *who watches* are the observers.

There are two partitions with places of their own, so that neither kind of caller starves the other: *interactive*
requests, measured by how long they wait for their turn of the event loop, and *large* ones (a body over 16 KiB, or of
unknown length), measured by the share of their budget that they take in all.
"""

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from features.clock import Clock
from features.deadline import Deadline
from features.errors import DeadlineExceeded
from features.events import Observer
from service.errors import Shed, TimeoutInvalid
from service.events import RequestShed, Stage, Watch
from service.limits import Limit

LARGE_BYTES: Final = 16 * 1024
"""A request is large when its Content-Length is over this, or absent."""

WAIT_WANTED_S: Final = 0.05
"""Mean wait for a turn above which the interactive limit shrinks: a twentieth of the shipped deadline. 64 callers who
ask again as soon as they are answered stay below it, so a usual load test is not refused."""

BUDGET_SHARE_WANTED: Final = 0.5
"""Mean share of their budget above which fewer large requests are let in: twice as many would miss their deadlines."""

_LEAST_BUDGET_S: Final = 0.001
"""The least that a request may ask for, here and by `timeout_ms`: less is nothing, and more likely seconds meant."""

PERMIT: Final = "permit"
"""Where a request's permit is in the `state` of its ASGI scope."""

_LENGTH: Final = b"content-length"
_TIMEOUT: Final = b"x-request-timeout-ms"
_NO_ROOM: Final = "too many requests are in flight; try again a little later"
_TOO_LATE: Final = "requests wait longer for their turn than this one has time; try again a little later"


@dataclass(slots=True)
class Partition:
    """One kind of request.

    Attributes:
        name: `interactive` or `large`.
        limiter: How many of them may be in flight.
        in_flight: How many are.
        shed: How many have been refused.
    """

    name: str
    limiter: Limit
    in_flight: int = 0
    shed: int = 0

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return self.limiter.in_flight

    @property
    def has_room(self) -> bool:
        """Whether one more may come in."""
        return self.in_flight < self.limiter.in_flight


class Permit:
    """One request's place and its time; a context manager that gives the place back, once.

    Attributes:
        arrived: When the request was there, on the monotonic clock; its budget begins here. That is when it was
            admitted, as a rule with its body; if the body came later, the time that it took is added.
        deadline: When its answer is worth nothing any more.
        latest: The latest deadline that the body may still name, on the monotonic clock.
        elsewhere_s: Seconds for which it has waited for somebody else; they do not tell how busy we are.
        watch: Who follows it stage by stage; most requests are not followed.
    """

    __slots__ = ("_admission", "_partition", "arrived", "deadline", "elsewhere_s", "latest", "watch")

    def __init__(
        self, admission: "Admission", partition: Partition, arrived: float, deadline: Deadline, latest: float
    ) -> None:
        self._admission = admission
        self._partition: Partition | None = partition
        self.arrived = arrived
        self.deadline = deadline
        self.latest = latest
        self.elsewhere_s = 0.0
        self.watch: Watch | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Gives the place back; the second time it does nothing."""
        partition, self._partition = self._partition, None
        if partition is not None:
            self._admission.leave(self, partition)

    def received(self, took_s: float) -> None:
        """Notes that its body took so long to come, or not to; that is its sender's time, and comes off no budget.

        As little as that of a request that is admitted once its body is there.
        """
        self.arrived += took_s
        self.latest += took_s
        self.deadline = Deadline(self.deadline.at + took_s, self.deadline.clock)

    def begin(self, watch: Watch | None = None) -> None:
        """Notes that work on the request begins: the end of its wait, and of the stage `admit`.

        Args:
            watch: Who follows it from here.

        Raises:
            DeadlineExceeded: It waited for too long.
        """
        self.watch = watch
        now = self._admission.turn(self, self._partition)
        if watch is not None:
            watch.stage_ended(Stage.ADMIT, self.arrived, now)
        if now >= self.deadline.at:
            raise DeadlineExceeded("the deadline passed while the request waited for its turn")


class Admission:
    """Hands out permits while there are any.

    Attributes:
        interactive: Small requests.
        large: Large ones.
    """

    __slots__ = ("_clock", "_deadline_s", "_max_deadline_s", "_observer", "interactive", "large")

    def __init__(
        self,
        interactive: Limit,
        large: Limit,
        *,
        deadline_s: float,
        max_deadline_s: float,
        clock: Clock,
        observer: Observer,
    ) -> None:
        """Begins with nothing in flight.

        Args:
            interactive: How many small requests may be in flight.
            large: How many large ones.
            deadline_s: Seconds from a request's arrival to its deadline, where it names none.
            max_deadline_s: The most that it may name.
            clock: The time.
            observer: Who learns of refusals.
        """
        self.interactive = Partition("interactive", interactive)
        self.large = Partition("large", large)
        self._deadline_s = deadline_s
        self._max_deadline_s = max_deadline_s
        self._clock = clock
        self._observer = observer

    def __repr__(self) -> str:
        return "<Admission " + ", ".join(f"{one.name} {one.in_flight}/{one.limit}" for one in self.partitions) + ">"

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Both of them."""
        return (self.interactive, self.large)

    @property
    def in_flight(self) -> int:
        """Permits that are out."""
        return self.interactive.in_flight + self.large.in_flight

    def admit(self, headers: Iterable[tuple[bytes, bytes]] = ((_LENGTH, b"0"),)) -> Permit:
        """A permit, to be given back by leaving its context.

        Args:
            headers: The request's, names in lower case; by default those of a small request without any wishes.

        Raises:
            Shed: All permits are out, or the wait for a turn is longer than the request's budget.
            TimeoutInvalid: Its X-Request-Timeout-Ms is not a number, or less than 1.
        """
        partition, asked_ms = self.large, None
        for name, value in headers:
            if name == _LENGTH:
                partition = self.large if int(value) > LARGE_BYTES else self.interactive
            elif name == _TIMEOUT:
                asked_ms = value
        if asked_ms is None:
            budget_s, most_s = self._deadline_s, self._max_deadline_s
        else:
            budget_s = most_s = min(_seconds(asked_ms), self._max_deadline_s)
        now = self._clock.monotonic()
        if not partition.has_room:
            partition.limiter.refused(now)
            raise self._shed(partition, "limit", _NO_ROOM)
        waits_s = self.interactive.limiter.pressure(now) * WAIT_WANTED_S
        if waits_s > budget_s and self.interactive.in_flight:  # where nobody is, nobody waits any more
            raise self._shed(partition, "deadline", _TOO_LATE)
        partition.in_flight += 1
        return Permit(self, partition, now, Deadline(now + budget_s, self._clock), now + most_s)

    def _shed(self, partition: Partition, reason: str, message: str) -> Shed:
        partition.shed += 1
        self._observer.observe(RequestShed(partition.name, reason))
        return Shed(message)

    def turn(self, permit: Permit, partition: Partition | None) -> float:
        """Learns from a request whose turn has come how long it waited; returns the moment."""
        now = self._clock.monotonic()
        if partition is self.interactive:
            partition.limiter.measured((now - permit.arrived - permit.elsewhere_s) / WAIT_WANTED_S, now)
        return now

    def waited(self, wait_s: float) -> None:
        """Learns how long a request that had its features waited for another turn."""
        self.interactive.limiter.measured(wait_s / WAIT_WANTED_S, self._clock.monotonic())

    def leave(self, permit: Permit, partition: Partition) -> None:
        """Takes a place back, and learns from a large request what share of its budget it took."""
        partition.in_flight -= 1
        if partition is self.large:
            now = self._clock.monotonic()
            budget_s = max(permit.deadline.at - permit.arrived, self._deadline_s)  # a tight one says nothing of us
            share = (now - permit.arrived - permit.elsewhere_s) / budget_s
            partition.limiter.measured(share / BUDGET_SHARE_WANTED, now)


def admitted(scope: MutableMapping[str, Any], admission: Admission) -> Permit:
    """The permit of an ASGI request: the one that its server got for it, or else a new one.

    It stays in the scope, for whoever answers the request last to give it back.

    Raises:
        Shed: See `Admission.admit`.
        TimeoutInvalid: See `Admission.admit`.
    """
    state = scope["state"]
    if PERMIT not in state:
        state[PERMIT] = admission.admit(scope["headers"])
    permit: Permit = state[PERMIT]
    return permit


def _seconds(asked_ms: bytes) -> float:
    # float() alone takes more than numbers of milliseconds: nan, inf, 1_000
    asked_s = float(asked_ms) / 1000 if asked_ms.replace(b".", b"", 1).isdigit() else 0.0
    if asked_s < _LEAST_BUDGET_S:
        raise TimeoutInvalid("X-Request-Timeout-Ms must be a number of milliseconds, at least 1")
    return asked_s
