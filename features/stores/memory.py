"""A store in memory that fails on demand: what tests, examples and rehearsals of an outage stand on.

It answers from a dict and needs no file, network or thread. Its faults are set beforehand and are deterministic: a
test says "the next two reads fail", "reads hang until I say", and then counts what was asked. A read sees the rows
as they are when it begins, so a read that hangs brings what was true before it hung, as a slow store does.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features.deadline import Deadline
from features.errors import StoreAnswerInvalid, StoreError
from features.spec import FeatureView
from features.stores.base import ReadAnswer
from features.values import EntityKey, RowLayout, Value, ValueMismatch


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One entity's values as they were put in; see `RowLayout.pack`."""

    values: Mapping[str, Value]
    event_time: float | None = None
    event_times: Mapping[str, float | None] | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """One read that was asked for.

    Attributes:
        view: Name of the feature view.
        keys: The keys, in the order asked.
        deadline: The deadline it was given.
    """

    view: str
    keys: tuple[EntityKey, ...]
    deadline: Deadline


class MemoryStore:
    """An `OnlineStore` over a dict, with programmable faults.

    Attributes:
        reads: Every read so far, failed ones too, in the order in which they began.
        under_way: How many reads have begun and not ended.
    """

    __slots__ = ("_failures", "_gates", "_left_out", "_rows", "reads", "under_way")

    def __init__(self) -> None:
        self._rows: dict[tuple[str, EntityKey], MemoryRow | StoreError] = {}
        self._left_out: set[tuple[str, EntityKey]] = set()
        self._failures: deque[StoreError] = deque()
        self._gates: list[asyncio.Event] = []
        self.reads: list[Read] = []
        self.under_way = 0

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._rows)} rows, {len(self.reads)} reads, {self.under_way} under way>"

    def put(
        self,
        view: str,
        key: EntityKey,
        values: Mapping[str, Value],
        event_time: float | None = None,
        event_times: Mapping[str, float | None] | None = None,
    ) -> None:
        """Sets one entity's row; the next read sees it."""
        self._rows[view, key] = MemoryRow(dict(values), event_time, event_times)

    def remove(self, view: str, key: EntityKey) -> None:
        """Forgets one entity's row, if there is one."""
        self._rows.pop((view, key), None)

    def spoil(self, view: str, key: EntityKey, error: StoreError) -> None:
        """Answers this one key with `error`, until it is put or removed."""
        self._rows[view, key] = error

    def leave_out(self, view: str, key: EntityKey) -> None:
        """From now on leaves this key out of every answer, as no store should."""
        self._left_out.add((view, key))

    def fail(self, error: StoreError, reads: int = 1) -> None:
        """The next `reads` reads raise `error`."""
        self._failures.extend([error] * reads)

    def heal(self) -> None:
        """Forgets the failures that were still to come."""
        self._failures.clear()

    def hold(self) -> asyncio.Event:
        """Reads that begin from now on, to the next `hold` or `release`, hang until the event returned is set."""
        gate = asyncio.Event()
        self._gates.append(gate)
        return gate

    def release(self) -> None:
        """Lets go of every read that hangs; later ones do not hang."""
        for gate in self._gates:
            gate.set()
        self._gates.clear()

    async def open(self) -> None:
        """See `OnlineStore.open`."""

    async def read(
        self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline
    ) -> Mapping[EntityKey, ReadAnswer]:
        """See `OnlineStore.read`."""
        self.reads.append(Read(view.name, tuple(keys), deadline))
        failure = self._failures.popleft() if self._failures else None
        gate = self._gates[-1] if self._gates else None
        answers = {
            key: _answer(self._rows.get((view.name, key)), view.layout)
            for key in keys
            if (view.name, key) not in self._left_out
        }
        self.under_way += 1
        try:
            if gate is not None:
                await gate.wait()
        finally:
            self.under_way -= 1
        if failure is not None:
            raise failure
        return answers

    async def aclose(self) -> None:
        """See `OnlineStore.aclose`."""


def _answer(found: MemoryRow | StoreError | None, layout: RowLayout) -> ReadAnswer:
    if found is None or isinstance(found, StoreError):
        return found
    try:
        return layout.pack(found.values, found.event_time, found.event_times)
    except ValueMismatch as error:
        return StoreAnswerInvalid(str(error))
