"""A JSON Web Token, taken apart and read strictly. Pure: whether its signature is right is decided elsewhere.

Where the standards leave room, the narrow reading is taken, since every second way of writing a token is a way past
somebody's check: one alphabet, one spelling of each byte string, every member once, whole seconds, one audience.

Source: RFC 7515 (JWS, compact form), RFC 7519 (JWT), RFC 8725 (best current practices); OpenID Connect Core 1.0,
section 3.1.3.7 (what to check of an ID token).
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from service.header_fields import Headers

MAX_TOKEN_BYTES: Final = 8 * 1024
"""Longest token that is looked at; Google's have about 1 kB."""

SKEW_S: Final = 30
"""Seconds by which the issuer's clock and ours may differ."""

_ALGORITHMS: Final = ("RS256", "ES256")
_COMPACT: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_BEARER: Final = re.compile(rb"bearer +([A-Za-z0-9_.-]+)", re.IGNORECASE)


class TokenRefused(Exception):
    """The token is none of ours; the message says why, for a debug line. Does not leave authentication."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says; nothing of it is proven.

    Attributes:
        algorithm: `RS256` or `ES256`.
        key_id: Which of the issuer's keys is said to have signed it.
        claims: What it claims.
        signed: The bytes that were signed.
        signature: The signature over them.
    """

    algorithm: str
    key_id: str
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


class Verifier(Protocol):
    """One public key."""

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature over the message was made with the other half."""
        ...


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must claim.

    Attributes:
        audience: Whom it was made for: this service.
        issuers: Who may have made it.
        emails: Whom it may have been given to, by verified email; None for everybody.
    """

    audience: str
    issuers: frozenset[str]
    emails: frozenset[str] | None = None


def bearer_token(headers: Headers) -> bytes:
    """The token in a request's one `Authorization: Bearer …` header (RFC 6750; the scheme in any case).

    Raises:
        TokenRefused: There is no such header, more than one, or no token in it.
    """
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) != 1:
        raise TokenRefused(f"{len(found)} Authorization headers")
    if len(found[0]) > MAX_TOKEN_BYTES:
        raise TokenRefused("too long")
    bearer = _BEARER.fullmatch(found[0])
    if bearer is None:
        raise TokenRefused("not a bearer token")
    return bearer[1]


def parse_token(compact: bytes) -> Token:
    """Takes a token apart.

    Raises:
        TokenRefused: It is not a JSON Web Token signed in a way that is understood here.
    """
    parts = _COMPACT.fullmatch(compact)
    if parts is None:
        raise TokenRefused("not three parts of base64url")
    header, claims = _members(parts[1]), _members(parts[2])
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in _ALGORITHMS:
        raise TokenRefused("algorithm")
    if not isinstance(key_id, str) or not key_id:
        raise TokenRefused("no key id")
    if "crit" in header:  # RFC 7515, section 4.1.11: what must be understood is not
        raise TokenRefused("critical header")
    if str(header.get("typ", "JWT")).upper() != "JWT":  # RFC 8725, section 3.11: an access token is no ID token
        raise TokenRefused("type")
    signed = compact[: parts.end(2)]
    return Token(str(algorithm), key_id, claims, signed, _decoded(parts[3]))


def check_claims(claims: Mapping[str, Any], expected: Expected, now: float) -> float:
    """Returns the Unix second at which the token ends, when it claims what is expected.

    Args:
        claims: What it claims.
        expected: What it must.
        now: Unix seconds.

    Raises:
        TokenRefused: It does not.
    """
    if not _one_of(claims.get("iss"), expected.issuers):
        raise TokenRefused("issuer")
    if claims.get("aud") != expected.audience:
        raise TokenRefused("audience")
    ends = _seconds(claims, "exp") + SKEW_S
    if now >= ends:
        raise TokenRefused("expired")
    if _seconds(claims, "iat") > now + SKEW_S or ("nbf" in claims and _seconds(claims, "nbf") > now + SKEW_S):
        raise TokenRefused("not valid yet")
    return ends


def check_signature(token: Token, verifier: Verifier) -> None:
    """Returns when the token was signed with the key's other half.

    Raises:
        TokenRefused: It was not.
    """
    if not verifier.verify(token.signed, token.signature):
        raise TokenRefused("signature")


def check_caller(claims: Mapping[str, Any], emails: frozenset[str] | None) -> None:
    """Returns when the token was given to somebody who may come in.

    To be asked after the signature was found right, lest forged tokens find out who may.

    Raises:
        TokenRefused: It was not.
    """
    if emails is None:
        return
    if claims.get("email_verified") is not True:
        raise TokenRefused("email not verified")
    if not _one_of(claims.get("email"), emails):  # letter by letter; in lower case the Kelvin sign, too, is a k
        raise TokenRefused("email")


def _one_of(value: object, known: frozenset[str]) -> bool:
    return isinstance(value, str) and value in known


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TokenRefused(f"{name} is not a whole number of seconds")
    return value


def _members(part: bytes) -> dict[str, Any]:
    try:
        found = json.loads(_decoded(part).decode(), object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise TokenRefused("not JSON") from None
    if not isinstance(found, dict):
        raise TokenRefused("not a JSON object")
    return found


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise TokenRefused("a member twice")
    return members


def _no_constant(name: str) -> Any:
    raise TokenRefused(f"{name} is not JSON")


def _decoded(part: bytes) -> bytes:
    """What base64url without padding stands for; of the several spellings of some bytes only the shortest is taken."""
    try:
        data = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        raise TokenRefused("not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part:
        raise TokenRefused("not base64url")
    return data
