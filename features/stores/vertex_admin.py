"""Does the feature view exist? One administrative question, because a read cannot tell.

Vertex AI answers NOT_FOUND with the same words for a missing entity and a missing view. So each view is looked up once
at the start, and again when nothing but NOT_FOUND comes for a while.

Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.featureOnlineStores.featureViews/get
"""

from enum import Enum, auto
from http import HTTPStatus

import httpx

from features.stores.vertex_channel import TokenSource


class Presence(Enum):
    """What is known about a view."""

    PRESENT = auto()
    MISSING = auto()
    UNKNOWN = auto()
    """Nobody answered, or we may not ask; no reason not to serve."""


async def look_up_view(base_url: str, feature_view: str, tokens: TokenSource | None, timeout_s: float) -> Presence:
    """Whether the view exists.

    Args:
        base_url: `https://us-central1-aiplatform.googleapis.com`, or an emulator's.
        feature_view: The view's resource name.
        tokens: Who we are; None for an emulator.
        timeout_s: How long to wait for an answer.
    """
    headers = {} if tokens is None else {"authorization": f"Bearer {await tokens.token()}"}
    try:
        async with httpx.AsyncClient(base_url=base_url, timeout=timeout_s) as client:
            answer = await client.get(f"/v1/{feature_view}", headers=headers)
    except httpx.HTTPError:
        return Presence.UNKNOWN
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return Presence.MISSING
    return Presence.PRESENT if answer.status_code == HTTPStatus.OK else Presence.UNKNOWN
