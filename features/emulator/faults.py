"""The faults in force: decides which of them strike a call. Does nothing about it itself."""

from collections.abc import Collection, Iterable, Sequence
from random import Random
from typing import Any, Final

from features.emulator.fault_rules import FaultKind, FaultRule
from features.stores.sqlite_file import encode_key

ON_THE_WIRE: Final = frozenset({FaultKind.RESET, FaultKind.SLOW_DRIP, FaultKind.GOAWAY})
"""Faults of the connection; they need one that passes through the proxy."""

BEFORE_THE_ANSWER: Final = frozenset({FaultKind.LATENCY, FaultKind.ERROR, FaultKind.BLACK_HOLE})

ALL: Final = frozenset(FaultKind)


class Fault:
    """A rule in force.

    Attributes:
        rule: The rule.
        random: Its dice, for whether it strikes and for how.
        hits: How many calls it has struck.
    """

    __slots__ = ("_keys", "hits", "random", "rule")

    def __init__(self, rule: FaultRule) -> None:
        self.rule = rule
        self.random = Random(rule.seed)  # noqa: S311  # faults are to repeat, not to be unguessable
        self.hits = 0
        self._keys = frozenset(map(encode_key, rule.keys))

    def __repr__(self) -> str:
        return f"<Fault {self.rule.kind} hits={self.hits}>"

    def touches(self, key: str) -> bool:
        """Whether it is about this key; without a filter it is about all."""
        return not self._keys or key in self._keys

    def strikes(self, method: str, view: str, keys: Iterable[str]) -> bool:
        """Whether it hits this call; throws the dice, and counts."""
        rule = self.rule
        if rule.view not in (None, view) or rule.method not in ("", method):
            return False
        if self._keys and self._keys.isdisjoint(keys):
            return False
        if (rule.times is not None and self.hits >= rule.times) or self.random.random() >= rule.share:
            return False
        self.hits += 1
        return True


class Faults:
    """The list of faults in force, replaced as a whole."""

    __slots__ = ("_faults",)

    def __init__(self, rules: Iterable[FaultRule] = ()) -> None:
        self._faults = tuple(map(Fault, rules))

    def __repr__(self) -> str:
        return f"<Faults {list(self._faults)}>"

    def replace(self, rules: Iterable[FaultRule]) -> None:
        """Puts these rules in force; dice and counts begin anew."""
        self._faults = tuple(map(Fault, rules))

    def strike(
        self, method: str, view: str, keys: Iterable[str], possible: Collection[FaultKind] = ALL
    ) -> Sequence[Fault]:
        """The faults that hit this call, in the order of the rules.

        Args:
            method: The call's method.
            view: The last segment of the view's name.
            keys: The keys that it asks for.
            possible: What can happen to such a call at all; other kinds are not thrown for.
        """
        if not self._faults:
            return ()
        return [fault for fault in self._faults if fault.rule.kind in possible and fault.strikes(method, view, keys)]

    def to_json(self) -> list[dict[str, Any]]:
        """The rules as JSON, each with the calls it has hit."""
        return [{**fault.rule.to_json(), "hits": fault.hits} for fault in self._faults]
