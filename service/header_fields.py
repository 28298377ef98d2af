"""A request's header fields, as ASGI has them."""

from collections.abc import Sequence

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values, in the order in which they came."""
