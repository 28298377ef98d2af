"""Looks back from a moment: how many events an entity had in a window, and what they add up to.

All of it is two binary searches in one sorted array and a difference of prefix sums. Sums are of whole numbers, so
they are exact whatever the order.
"""

from dataclasses import dataclass

import numpy as np

from model.training.history import Ints


@dataclass(frozen=True, slots=True)
class Timeline:
    """Events of many entities, in order of entity and time.

    Attributes:
        keys: Entity and time of each event in one number, ascending; shape `(n_events,)`.
        order: Where each sorted event stood before it was sorted; shape `(n_events,)`.
        span: How far apart in `keys` two entities are; more than any time that is asked about.
    """

    keys: Ints
    order: Ints
    span: int

    @classmethod
    def of(cls, entity: Ints, time_ms: Ints, end_ms: int) -> "Timeline":
        """The timeline of events, given in any order.

        Args:
            entity: Whose event, counted from 0; shape `(n_events,)`.
            time_ms: When, in 0 to `end_ms`; shape `(n_events,)`.
            end_ms: The latest moment of an event or a question.
        """
        span = end_ms + 2
        keys = entity * span + time_ms
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], order, span)

    def before(self, entity: Ints, at_ms: Ints) -> Ints:
        """How many sorted events come before each entity's moment, those of lower entities included.

        The moment itself is not before it. So the difference of two answers is the number of events in a window that
        includes its beginning and excludes its end.

        Args:
            entity: Of whom is asked; shape `(n,)`.
            at_ms: The moments; those before the start count as the start; shape `(n,)`.
        """
        return np.searchsorted(self.keys, entity * self.span + np.maximum(at_ms, 0), side="left")

    def latest(self, entity: Ints, at_ms: Ints) -> Ints:
        """Sorted position of each entity's last event before its moment, -1 if it had none; shape `(n,)`."""
        position = self.before(entity, at_ms)
        had_one = position > self.before(entity, np.zeros_like(entity))
        return np.where(had_one, position - 1, -1)

    def latest_time(self, entity: Ints, at_ms: Ints) -> Ints:
        """Time of each entity's last event before its moment, 0 (the start) if it had none; shape `(n,)`."""
        position = self.latest(entity, at_ms)
        if not len(self.keys):
            return np.zeros_like(entity)
        return np.where(position >= 0, self.keys[position] % self.span, 0)

    def running_total(self, values: Ints) -> Ints:
        """Sums over the first 0, 1, ... sorted events of `values`, one per unsorted event; shape `(n_events + 1,)`."""
        return np.concatenate([[0], np.cumsum(values[self.order])])
