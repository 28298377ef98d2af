"""Resource names of Vertex AI Feature Store. Pure."""

import re
from typing import Final, NamedTuple

FORM: Final = "projects/P/locations/L/featureOnlineStores/S/featureViews/V"
"""What the resource name of a feature view looks like, for messages."""

_VIEW: Final = re.compile(
    r"(projects/[^/\s]+/locations/([^/\s]+))/featureOnlineStores/([^/\s]+)/featureViews/([^/\s]+)"
)


class ViewName(NamedTuple):
    """The parts of a feature view's resource name.

    Attributes:
        parent: `projects/P/locations/L`.
        location: L.
        store: The online store's ID.
        view: The view's ID.
    """

    parent: str
    location: str
    store: str
    view: str


def parse_view_name(resource: str) -> ViewName | None:
    """The parts of the name; None if it is not a feature view's."""
    found = _VIEW.fullmatch(resource)
    return ViewName(*found.groups()) if found else None


def regional_host(location: str) -> str:
    """The host that serves a location's stores; the global one does not serve feature views."""
    return f"{location}-aiplatform.googleapis.com"
