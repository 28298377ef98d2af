"""A YAML document that knows on which line each of its values stands.

The spec's author reads the errors, so every one names file, line and key and says what to write instead. Only plain
data is read: no tags, no code.
"""

import difflib
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from features.errors import SpecError

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_S: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the document, with its place.

    Attributes:
        value: Plain data; the members of mappings and lists are nodes again.
        line: 1-based line on which it starts.
        path: Dotted keys that lead to it, `views.customer_account.cache`.
        file: Name of the document.
    """

    value: Any
    line: int
    path: str
    file: str

    def error(self, problem: str) -> SpecError:
        """An error that points here."""
        return SpecError(f"{self.file}:{self.line}: {self.path or 'the document'}", problem)

    def members(self) -> "dict[str, Node]":
        """The mapping's members by key.

        Raises:
            SpecError: It is not a mapping.
        """
        if not isinstance(self.value, dict):
            raise self.error("must be a mapping, `key: value`")
        return self.value

    def items(self) -> "list[Node]":
        """The list's items.

        Raises:
            SpecError: It is not a list, or it is empty.
        """
        if not isinstance(self.value, list) or not self.value:
            raise self.error("must be a list with at least one item, `- item`")
        return self.value

    def text(self, *, empty: bool = False) -> str:
        """The text.

        Args:
            empty: Whether "" is text, too.

        Raises:
            SpecError: It is not text, or empty.
        """
        if not isinstance(self.value, str) or not (self.value or empty):
            raise self.error('must be text; put it in quotes, as in "1"')
        return self.value

    def boolean(self) -> bool:
        """True or false.

        Raises:
            SpecError: It is neither.
        """
        if not isinstance(self.value, bool):
            raise self.error("must be true or false")
        return self.value

    def number(self) -> float:
        """The finite number.

        Raises:
            SpecError: It is not one.
        """
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            raise self.error("must be a number")
        try:
            finite = math.isfinite(self.value)
        except OverflowError:  # an integer that no float can hold
            finite = False
        if not finite:
            raise self.error("must be a finite number")
        return self.value

    def duration_s(self) -> float:
        """Seconds of a duration such as `500ms`, `2s`, `5m`, `1h`, `7d` or `0s`.

        Raises:
            SpecError: It is not a duration.
        """
        found = _DURATION.fullmatch(self.value) if isinstance(self.value, str) else None
        if found is None:
            raise self.error("must be a number with a unit, such as 500ms, 2s, 5m, 1h or 7d")
        return float(found[1]) * _UNIT_S[found[2]]

    def choice(self, options: Collection[str]) -> str:
        """One of `options`.

        Raises:
            SpecError: It is none of them; the message suggests the nearest.
        """
        if self.value not in list(options):
            raise self.error(f"must be one of {', '.join(options)}{nearest(str(self.value), options)}")
        return str(self.value)

    def only(self, allowed: Collection[str], required: Collection[str] = ()) -> "dict[str, Node]":
        """The mapping's members, when it has no others than `allowed` and all that are `required`.

        Raises:
            SpecError: A key is unknown (the message suggests the nearest) or missing.
        """
        members = self.members()
        for key, node in members.items():
            if key not in allowed:
                hint = nearest(key, allowed) or f"; known keys are {', '.join(allowed)}"
                raise node.error(f"is not a known key{hint}")
        for key in required:
            if key not in members:
                raise self.error(f"needs the key {key!r}")
        return members


def nearest(word: str, options: Collection[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no option is near."""
    found = difflib.get_close_matches(word, [str(option) for option in options], n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def parse_yaml(data: bytes, file: str) -> Node:
    """The document, plain data only.

    Raises:
        SpecError: It is not UTF-8, not YAML, empty, or a mapping names a key twice.
    """
    try:
        root = yaml.compose(data.decode("utf-8-sig"), Loader=yaml.SafeLoader)
        if root is None:
            raise SpecError(file, "is empty")
        return _node(root, "", file)
    except UnicodeDecodeError as error:
        raise SpecError(file, "is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(f"{file}:{line}", f"is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:  # an anchor that holds itself recurses for ever
        raise SpecError(file, "is not YAML that can be read") from error


def _node(found: yaml.Node, path: str, file: str) -> Node:
    line = found.start_mark.line + 1
    if isinstance(found, yaml.MappingNode):
        members: dict[str, Node] = {}
        for key_node, value_node in found.value:
            key = str(key_node.value)
            inner = f"{path}.{key}" if path else key
            if key in members:
                raise SpecError(f"{file}:{key_node.start_mark.line + 1}: {inner}", "is written twice; remove one")
            members[key] = _node(value_node, inner, file)
        return Node(members, line, path, file)
    if isinstance(found, yaml.SequenceNode):
        items = [_node(item, f"{path}[{index}]", file) for index, item in enumerate(found.value)]
        return Node(items, line, path, file)
    loader = yaml.SafeLoader("")
    try:
        return Node(loader.construct_object(found), line, path, file)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # what PyYAML lets out of `!!bool maybe`
        raise SpecError(f"{file}:{line}: {path or 'the document'}", "is not plain data") from error
