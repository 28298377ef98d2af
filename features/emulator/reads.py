"""What the emulator was asked, counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Reads:
    """Counts since the start or the last `clear`.

    Attributes:
        views: For each view (the last segment of its name), how often each key was asked for.
        messages: Requests by method; each request message of a stream is one.
        connections: Connections that the gRPC port took.
        routing_wrong: Calls whose routing header named another view; they were refused.
        routing_empty: Calls with an empty routing header or none, as Google's client makes them on streams.
    """

    views: dict[str, Counter[str]] = field(default_factory=dict)
    messages: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    routing_wrong: int = 0
    routing_empty: int = 0

    def add(self, method: str, view: str, keys: Iterable[str] = ()) -> None:
        """Counts one message that asks for `keys` of `view`."""
        self.messages[method] += 1
        self.views.setdefault(view, Counter()).update(keys)

    def add_connection(self) -> None:
        """Counts one connection."""
        self.connections += 1

    def of(self, view: str, key: str) -> int:
        """How often `key` of `view` was asked for."""
        return self.views[view][key] if view in self.views else 0

    def clear(self) -> None:
        """Begins anew."""
        self.views.clear()
        self.messages.clear()
        self.connections = self.routing_wrong = self.routing_empty = 0

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON; a composite key is spelled as the JSON list of its parts."""
        return {
            "views": {view: dict(keys) for view, keys in self.views.items()},
            "messages": dict(self.messages),
            "connections": self.connections,
            "routing": {"wrong": self.routing_wrong, "empty": self.routing_empty},
        }
