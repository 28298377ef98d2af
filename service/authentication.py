"""Who calls? Bearer ID tokens, for places where the platform does not look at them itself.

    header ──► remembered? ──► token ──► claims ──► key ──► signature ──► caller ──► remember

Cheap questions come first, so that a flood of nonsense costs little. Checking an RSA signature takes 50 to 100 µs, so
tokens that proved good are remembered until they end, and forged ones for a few seconds, apart from each other: forged
ones cannot push good ones out. Both are forgotten when the issuer's keys change.

Every refusal is the same to the caller, whatever the reason; the reason is in a debug log line.
"""

import logging
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, Protocol

from cachetools import LRUCache

from features.clock import Clock
from service.authentication_token import (
    Expected,
    TokenRefused,
    Verifier,
    bearer_token,
    check_caller,
    check_claims,
    check_signature,
    parse_token,
)
from service.errors import KeysUnavailable, Unauthenticated
from service.header_fields import Headers

KeyId = tuple[str, str]
"""A key's id and the one algorithm that it is for."""

_REMEMBERED: Final = 10_000
"""Tokens to remember of each kind, about 200 bytes each; a caller has one an hour."""

_REFUSED_FOR_S: Final = 10.0
_REFUSAL: Final = "send an ID token that was made for this service, as `Authorization: Bearer TOKEN`"

log = logging.getLogger("keyscore")


class Keys(Protocol):
    """The issuer's public keys."""

    @property
    def current(self) -> Mapping[KeyId, Verifier]:
        """The keys; the same object until they change, empty until they are there."""
        ...

    async def find(self, key: KeyId) -> Verifier | None:
        """The key, asking the issuer anew if that may help."""
        ...

    def refresh_if_due(self) -> None:
        """Has the keys fetched in the background when that is due."""
        ...


class Authenticator:
    """Lets those in who show a good token."""

    __slots__ = ("_clock", "_expected", "_good", "_keys", "_known", "_refused")

    def __init__(self, expected: Expected, keys: Keys, clock: Clock) -> None:
        """Begins with nobody known.

        Args:
            expected: What a token must claim.
            keys: The issuer's.
            clock: The time; tokens end by the wall clock.
        """
        self._expected = expected
        self._keys = keys
        self._clock = clock
        self._known: Mapping[KeyId, Verifier] = {}
        self._good: LRUCache[bytes, float] = LRUCache(_REMEMBERED)
        self._refused: LRUCache[bytes, float] = LRUCache(_REMEMBERED)

    def __repr__(self) -> str:
        return f"<Authenticator {len(self._good)} good, {len(self._refused)} refused, {len(self._keys.current)} keys>"

    async def check(self, headers: Headers) -> None:
        """Returns when the request may come in.

        Args:
            headers: The request's.

        Raises:
            Unauthenticated: It may not.
            KeysUnavailable: There are no keys to tell.
        """
        self._keys.refresh_if_due()
        try:
            await self._check(bearer_token(headers))
        except TokenRefused as refused:
            log.debug("a request without a good ID token: %s", refused)
            raise Unauthenticated(_REFUSAL) from None

    async def _check(self, compact: bytes) -> None:
        if self._keys.current is not self._known:
            self._forget()
        name = sha256(compact).digest()
        now = self._clock.wall()
        if self._good.get(name, 0.0) > now:
            return
        if self._refused.get(name, 0.0) > now:
            raise TokenRefused("refused a moment ago")
        token = parse_token(compact)
        ends = check_claims(token.claims, self._expected, now)
        verifier = await self._keys.find((token.key_id, token.algorithm))
        if verifier is None:
            if not self._keys.current:
                raise KeysUnavailable("the keys that ID tokens are checked with could not be fetched yet")
            raise TokenRefused("unknown key")
        try:
            check_signature(token, verifier)
            check_caller(token.claims, self._expected.emails)
        except TokenRefused:
            self._refused[name] = now + _REFUSED_FOR_S
            raise
        self._good[name] = ends

    def _forget(self) -> None:
        self._known = self._keys.current
        self._good.clear()
        self._refused.clear()
