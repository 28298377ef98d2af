"""The issuer's public keys, fetched off the request path and kept as long as the issuer says: the service's httpx door.

The first fetch begins when the service starts; later ones begin when a request finds the keys too old, and the request
goes on with the old ones. So nothing depends on a timer, which Cloud Run may freeze between requests. Only a request
whose key is unknown waits, and not for long: an issuer publishes a new key before it signs with it.

    at most one fetch at a time, and one a minute, whatever tokens come in
    a fetch that fails changes nothing: old keys are better than none

Source: OpenID Connect Core 1.0, section 10.1.1 (rotation); RFC 9111, section 5.2.2.1 (max-age) and 5.1 (Age).
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Final, Self

import httpx

from features.clock import Clock
from service.authentication import KeyId
from service.authentication_jwk import verifiers
from service.authentication_token import Verifier

_PAUSE_S: Final = 60.0
"""Between two fetches, and between two log lines about failed ones."""

_PAUSE_WITHOUT_KEYS_S: Final = 5.0
"""Between two fetches while there are no keys at all, and nobody can be let in."""

_WAIT_S: Final = 2.0
"""How long a request with an unknown key waits for a fetch."""

_FETCH_S: Final = 10.0
_MAX_BYTES: Final = 256 * 1024  # Google's set has 1.5 kB
_SHIPPED_AGE_S: Final = 3600.0  # where the issuer does not say
_LONGEST_AGE_S: Final = 86_400.0  # a key that was withdrawn must end some day
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age=\"?(\d{1,9})")
_NO_KEYS: Final[Mapping[KeyId, Verifier]] = MappingProxyType({})

log = logging.getLogger("keyscore")


class KeysNotFetched(Exception):
    """The keys could not be fetched; the message says why, for the operator."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """What a fetch brought.

    Attributes:
        keys: The keys.
        document: What they were made of.
        max_age_s: For how long they are good.
    """

    keys: Mapping[KeyId, Verifier]
    document: bytes
    max_age_s: float


class FetchedKeys:
    """The keys at one address; an async context manager that ends what is under way.

    Attributes:
        current: See `authentication.Keys`.
    """

    __slots__ = ("_client", "_clock", "_document", "_due", "_earliest", "_flight", "_quiet_until", "_url", "current")

    def __init__(self, url: str, clock: Clock) -> None:
        """Fetches nothing yet.

        Args:
            url: Address of the JSON Web Key Set.
            clock: The time; ages of keys are by the monotonic clock.
        """
        self._url = url
        self._clock = clock
        self._client = _client()  # reads the machine's certificates, which takes a while, so once
        self._document = b""
        self._due = self._earliest = self._quiet_until = float("-inf")
        self._flight: asyncio.Task[None] | None = None
        self.current = _NO_KEYS

    def __repr__(self) -> str:
        return f"<FetchedKeys {len(self.current)} from {self._url}, due in {self._due - self._clock.monotonic():.0f} s>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait([self._flight])
        await self._client.aclose()

    def refresh_if_due(self) -> None:
        """See `authentication.Keys`."""
        if self._clock.monotonic() >= self._due:
            self._begin()

    async def find(self, key: KeyId) -> Verifier | None:
        """See `authentication.Keys`."""
        if key not in self.current:
            flight = self._begin()
            if flight is not None:
                await self._clock.wait([flight], self._clock.monotonic() + _WAIT_S)
        return self.current.get(key)

    def _begin(self) -> asyncio.Task[None] | None:
        """The fetch that is under way, or a new one; None if it is too early for that."""
        now = self._clock.monotonic()
        if self._flight is None and now >= self._earliest:
            self._earliest = now + _PAUSE_S
            self._flight = asyncio.get_running_loop().create_task(self._fetch())
        return self._flight

    async def _fetch(self) -> None:
        try:
            found = await _fetched(self._client, self._url)
        except KeysNotFetched as error:
            self._complain(error)
            if not self.current:
                self._earliest = self._clock.monotonic() + _PAUSE_WITHOUT_KEYS_S
        else:
            if found.document != self._document:
                self.current, self._document = found.keys, found.document
                log.info("%d keys to check ID tokens with", len(found.keys))
            self._due = self._clock.monotonic() + max(_PAUSE_S, found.max_age_s)
        finally:
            self._flight = None

    def _complain(self, error: KeysNotFetched) -> None:
        now = self._clock.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _PAUSE_S
            log.warning("%s; %s", error, "the old keys stay" if self.current else "nobody can be let in")


async def fetch_once(url: str) -> KeySet:
    """The keys at an address.

    Raises:
        KeysNotFetched: They could not be had.
    """
    async with _client() as client:
        return await _fetched(client, url)


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=_FETCH_S / 2)  # follows no redirects


async def _fetched(client: httpx.AsyncClient, url: str) -> KeySet:
    try:
        async with asyncio.timeout(_FETCH_S), client.stream("GET", url) as answer:
            if answer.status_code != httpx.codes.OK:
                raise KeysNotFetched(f"{url} answers {answer.status_code}")
            document = await _document(answer)
            return KeySet(verifiers(document), document, _max_age_s(answer.headers))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RecursionError) as error:
        raise KeysNotFetched(f"the keys at {url} cannot be used: {error or type(error).__name__}") from error


async def _document(answer: httpx.Response) -> bytes:
    found = b""
    async for chunk in answer.aiter_bytes():
        found += chunk
        if len(found) > _MAX_BYTES:
            raise ValueError("it is far too long for a key set")
    return found


def _max_age_s(headers: httpx.Headers) -> float:
    said = _MAX_AGE.search(headers.get("cache-control", "").lower())
    if said is None:
        return _SHIPPED_AGE_S
    age = headers.get("age", "0")
    passed = int(age) if age.isascii() and age.isdigit() else 0
    return min(float(said[1]) - passed, _LONGEST_AGE_S)
