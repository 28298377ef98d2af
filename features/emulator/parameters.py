"""What a fault's parameter may be: one small checker for each type, whose errors say what will do."""

import math
from dataclasses import dataclass

from features.values import EntityKey


@dataclass(frozen=True, slots=True)
class Number:
    """A number within bounds."""

    default: float | None
    minimum: float = 0.0
    maximum: float = math.inf
    whole: bool = False

    def check(self, value: object) -> float | None:
        """`value`, if it will do.

        Raises:
            ValueError: It will not; the message says what will.
        """
        number = isinstance(value, int if self.whole else (int, float)) and not isinstance(value, bool)
        if number and self.minimum <= value <= self.maximum:  # type: ignore[operator]  # `number` says that it is one
            return value  # type: ignore[return-value]  # same
        wanted = "a whole number" if self.whole else "a number"
        if self.maximum < math.inf:
            raise ValueError(f"{wanted} from {self.minimum:g} to {self.maximum:g}")
        raise ValueError(wanted if self.minimum == -math.inf else f"{wanted}, {self.minimum:g} or more")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    default: str
    choices: tuple[str, ...]

    def check(self, value: object) -> str:
        """See `Number.check`."""
        if isinstance(value, str) and value in self.choices:
            return value
        raise ValueError("one of " + ", ".join(self.choices))


@dataclass(frozen=True, slots=True)
class Text:
    """Any text."""

    default: str | None = None

    def check(self, value: object) -> str:
        """See `Number.check`."""
        if isinstance(value, str):
            return value
        raise ValueError("text")


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    default: bool = False

    def check(self, value: object) -> bool:
        """See `Number.check`."""
        if isinstance(value, bool):
            return value
        raise ValueError("true or false")


@dataclass(frozen=True, slots=True)
class Names:
    """A list of names."""

    default: tuple[str, ...] = ()

    def check(self, value: object) -> tuple[str, ...]:
        """See `Number.check`."""
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            return tuple(value)
        raise ValueError("a list of names")


@dataclass(frozen=True, slots=True)
class Keys:
    """A list of entity keys."""

    default: tuple[EntityKey, ...] = ()

    def check(self, value: object) -> tuple[EntityKey, ...]:
        """See `Number.check`."""
        if isinstance(value, list) and all(_is_key(key) for key in value):
            return tuple(key if isinstance(key, str) else tuple(key) for key in value)
        raise ValueError("a list of keys, each a text or the list of a composite key's parts")


Parameter = Number | Choice | Text | Flag | Names | Keys


def _is_key(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and len(value) > 1 and all(isinstance(part, str) for part in value)
    )
