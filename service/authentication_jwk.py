"""From a JSON Web Key Set to verifiers: the door to google-auth's signatures and to the key types beneath them.

`google.auth.jwt.decode` and `google.oauth2.id_token.verify_token` ask the machine's own clock, fetch keys within the
request, and read a token less strictly than is done here; their verifiers are what is used of them.

Source: RFC 7517 (JWK), RFC 7518 section 6 (the members of RSA and EC keys).
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.auth.crypt import RSAVerifier
from google.auth.crypt.es import EsVerifier

from service.authentication import KeyId
from service.authentication_token import Verifier

_MIN_RSA_BITS: Final = 2048  # RFC 7518, section 3.3
_MAX_RSA_BITS: Final = 8192  # a larger one takes a millisecond and more to check a signature with


def verifiers(document: bytes) -> Mapping[KeyId, Verifier]:
    """The keys of a set that tokens may be signed with, by key id and algorithm; others are left out.

    A key serves one algorithm, the one of its type: an RSA key's public half is never a secret for HS256.

    Raises:
        ValueError: It is not a JSON Web Key Set, or holds no such key.
    """
    members = json.loads(document)
    if not isinstance(members, dict) or not isinstance(members.get("keys"), list):
        raise ValueError("it is not a JSON Web Key Set")  # noqa: TRY004  # one kind of trouble for whoever asked
    found: dict[KeyId, Verifier] = {}
    for name, verifier in _usable(members["keys"]):
        found.setdefault(name, verifier)
    if not found:
        raise ValueError("it holds no key for RS256 or ES256")
    return found


def _usable(keys: list[Any]) -> Iterator[tuple[KeyId, Verifier]]:
    for key in keys:
        try:
            algorithm, verifier = _verifier(key)
            if isinstance(key["kid"], str) and _is_for_signatures(key, algorithm):
                yield (key["kid"], algorithm), verifier
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # of another type, or broken; the set's other keys are none the worse for it


def _verifier(key: Mapping[str, Any]) -> tuple[str, Verifier]:
    match key["kty"]:
        case "RSA":
            numbers = rsa.RSAPublicNumbers(_integer(key["e"]), _integer(key["n"]))
            if not _MIN_RSA_BITS <= numbers.n.bit_length() <= _MAX_RSA_BITS:
                raise ValueError("RSA key of a length that is not taken")
            return "RS256", RSAVerifier(numbers.public_key())  # type: ignore[no-untyped-call]  # not annotated
        case "EC" if key["crv"] == "P-256":
            point = ec.EllipticCurvePublicNumbers(_integer(key["x"]), _integer(key["y"]), ec.SECP256R1())
            return "ES256", EsVerifier(point.public_key())
    raise ValueError("key of another type")


def _is_for_signatures(key: Mapping[str, Any], algorithm: str) -> bool:
    return (
        key.get("alg", algorithm) == algorithm
        and key.get("use", "sig") == "sig"
        and "verify" in key.get("key_ops", ("verify",))
    )


def _integer(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
