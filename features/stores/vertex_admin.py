"""Does the feature view exist? One administrative question, because a read cannot tell.

Vertex AI answers NOT_FOUND with the same words for a missing entity and a missing view. So each view is looked up once
at the start, and again when nothing but NOT_FOUND comes for a while.

Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.featureOnlineStores.featureViews/get
"""

import asyncio
import logging
from collections.abc import Mapping
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

import httpx

from features.errors import StoreDenied
from features.stores.base import ReadAnswer
from features.stores.vertex_channel import TokenSource
from features.stores.vertex_names import regional_host
from features.values import EntityKey

log = logging.getLogger("keyscore")

_ANSWER_S: Final = 5.0
_SUSPICIOUS: Final = 50
"""So many keys NOT_FOUND in a row, and the view itself is looked up again."""
_AGAIN_S: Final = 30.0
"""How far apart these look-ups of one view are at least: of some views hardly any entity has a row, so that nearly all
that is read of them is NOT_FOUND, and all instances of a service share the quota of the administrative API."""


class Presence(Enum):
    """What is known about a view."""

    PRESENT = auto()
    MISSING = auto()
    UNKNOWN = auto()
    """Nobody answered, or we may not ask; no reason not to serve."""


def address_of_view(
    source: str, region: str, *, endpoint: str | None, rest_endpoint: str | None, plaintext: bool
) -> str | None:
    """The URL that tells of a view; None where nobody can be asked.

    Args:
        source: The view's resource name.
        region: Its location.
        endpoint: host:port that is read in place of the regional host.
        rest_endpoint: host:port that is asked in place of the regional host.
        plaintext: Whether `rest_endpoint` speaks no TLS, as an emulator.
    """
    if rest_endpoint is not None:
        return f"{'http' if plaintext else 'https'}://{rest_endpoint}/v1/{source}"
    return None if endpoint is not None else f"https://{regional_host(region)}/v1/{source}"


def admin_client() -> httpx.AsyncClient:
    """A client for look-ups, which are too far apart to share a connection; making it takes 16 ms and 0.8 MB."""
    return httpx.AsyncClient(timeout=_ANSWER_S, limits=httpx.Limits(max_keepalive_connections=0))


async def look_up_view(client: httpx.AsyncClient, address: str, tokens: TokenSource | None) -> Presence:
    """Whether the view exists.

    Args:
        client: Asks.
        address: See `address_of_view`.
        tokens: Who we are; None for an emulator.

    Raises:
        StoreDenied: There is no token to be had.
    """
    headers = {} if tokens is None else {"authorization": f"Bearer {await tokens.token()}"}
    try:
        answer = await client.get(address, headers=headers)
    except httpx.HTTPError:
        return Presence.UNKNOWN
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return Presence.MISSING
    return Presence.PRESENT if answer.status_code == HTTPStatus.OK else Presence.UNKNOWN


class ViewWatch:
    """Knows which views do not exist, as far as it could be found out."""

    __slots__ = (
        "_addresses",
        "_all",
        "_client",
        "_looked_at",
        "_looking",
        "_missing",
        "_not_found_in_a_row",
        "_tokens",
    )

    def __init__(self, addresses: Mapping[str, str | None], tokens: TokenSource | None) -> None:
        """Asks nothing yet.

        Args:
            addresses: By view, the URL that tells of it; None for one that is never looked up.
            tokens: Who we are; None for an emulator.
        """
        self._addresses = {view: address for view, address in addresses.items() if address is not None}
        self._all = len(self._addresses) == len(addresses)
        self._tokens = tokens
        self._client: httpx.AsyncClient | None = None
        self._missing: set[str] = set()
        self._not_found_in_a_row = dict.fromkeys(self._addresses, 0)
        self._looked_at: dict[str, float] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<ViewWatch of {len(self._addresses)} views, {len(self._missing)} missing>"

    async def open(self) -> frozenset[str]:
        """Looks all views up, side by side.

        Returns:
            Those that do not exist.
        """
        if not self._all:
            log.warning("KEYSCORE_VERTEX_REST_ENDPOINT is not set: whether the feature views exist is not looked up")
        await asyncio.gather(*map(self._begin, self._addresses))
        return frozenset(self._missing)

    def is_missing(self, view: str, now: float) -> bool:
        """Whether it does not exist, so that reads are in vain; it may have been made meanwhile, and is looked up."""
        if view not in self._missing:
            return False
        self._look_up_again(view, now)
        return True

    def note(self, view: str, answers: Mapping[EntityKey, ReadAnswer], now: float) -> None:
        """Takes note of what a read brought: fifty NOT_FOUND in a row may mean that the view itself is gone."""
        if view not in self._addresses:
            return
        if any(answer is not None for answer in answers.values()):
            self._not_found_in_a_row[view] = 0
            return
        self._not_found_in_a_row[view] += len(answers)
        if self._not_found_in_a_row[view] >= _SUSPICIOUS:
            self._look_up_again(view, now)

    async def aclose(self) -> None:
        """Ends look-ups that are under way."""
        tasks = tuple(self._looking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _look_up_again(self, view: str, now: float) -> None:
        """In the background, now and then."""
        last = self._looked_at.get(view)
        if view in self._looking or (last is not None and now < last + _AGAIN_S):
            return
        self._looked_at[view] = now
        self._not_found_in_a_row[view] = 0
        self._begin(view)

    def _begin(self, view: str) -> "asyncio.Task[None]":
        task = self._looking[view] = asyncio.create_task(self._look_up(view))
        task.add_done_callback(lambda _: self._looking.pop(view, None))
        return task

    async def _look_up(self, view: str) -> None:
        if self._client is None:
            self._client = admin_client()
        try:
            presence = await look_up_view(self._client, self._addresses[view], self._tokens)
        except StoreDenied:  # no token; the reads say so, too
            presence = Presence.UNKNOWN
        if presence is Presence.MISSING:
            log.warning("the feature view %s does not exist (any more); its reads fail until it does", view)
            self._missing.add(view)
        elif presence is Presence.PRESENT:
            self._missing.discard(view)
        elif presence is Presence.UNKNOWN:
            log.warning("whether the feature view %s exists could not be looked up", view)
