"""Specs of every kind of key and request field, as documents; an issuer of ID tokens and its key server."""

import base64
import json
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from features.spec import Spec
from features.spec_parsing import parse_serving_yaml
from features.transforms import BUILT_IN
from service.parsing import ParsedRequest, RequestParser

_VIEW = "views: {account: {entity: customer}}\nfeatures: [{name: balance, from: account.balance}]\n"
_DOCUMENTS = {
    "string": "entities: {customer: {keys: [{name: customer_id}]}}\n" + _VIEW,
    "int64": "entities: {customer: {keys: [{name: customer_id, dtype: int64}]}}\n" + _VIEW,
    "composite": "entities: {customer: {keys: [{name: branch}, {name: number, dtype: int64}]}}\n" + _VIEW,
    "fields": (
        "entities: {customer: {keys: [{name: customer_id}]}}\n"
        "request: {amount: {minimum: 0, maximum: 1000}, count: {dtype: int, minimum: 1}, new: {dtype: bool},"
        " note: {dtype: string}, delta: {}}\n" + _VIEW
    ),
    "demo": (
        "entities: {customer: {keys: [{name: customer_id}]}, merchant: {keys: [{name: merchant_id}]}}\n"
        "views: {account: {entity: customer}, risk: {entity: merchant}}\n"
        "request: {amount: {minimum: 0}, channel: {dtype: string}}\n"
        "features: [{name: balance, from: account.balance}, {name: rate, from: risk.rate}]\n"
    ),
}


@pytest.fixture(scope="session")
def spec_of() -> Callable[[str], Spec]:
    """A spec by the kind of its keys and fields: string, int64, composite, fields, demo."""

    def parse(kind: str) -> Spec:
        data = f'name: {kind}\nversion: "1"\n{_DOCUMENTS[kind]}'.encode()
        return parse_serving_yaml(data, "serving.yaml", BUILT_IN).spec

    return parse


@pytest.fixture(scope="session")
def parsed() -> Callable[[RequestParser, bytes], ParsedRequest]:
    """`parsed(parser, body)`: a request all of whose instances have been read in one go."""

    def parse(parser: RequestParser, body: bytes) -> ParsedRequest:
        request = parser.open(body)
        parser.read(request, 0, request.size)
        return request

    return parse


class Issuer:
    """Makes ID tokens, good ones and others; a key set server on loopback publishes its public keys."""

    AUDIENCE = "https://scores.example.com"
    EMAIL = "caller@project.iam.gserviceaccount.com"

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"r1": _rsa_key(0), "e1": _ec_key(0)}

    def document(self) -> bytes:
        return json.dumps({"keys": [_jwk(kid, key.public_key()) for kid, key in self.keys.items()]}).encode()

    def claims(self, now: float, **changed: Any) -> dict[str, Any]:
        """What a good token claims at `now`; `...` leaves a claim out."""
        claims = {
            "iss": "https://accounts.google.com",
            "aud": self.AUDIENCE,
            "sub": "1234567890",
            "email": self.EMAIL,
            "email_verified": True,
            "iat": int(now) - 60,
            "exp": int(now) + 3540,
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not ...}

    def header(self, kid: str = "r1", **changed: Any) -> dict[str, Any]:
        header = {"alg": "ES256" if kid.startswith("e") else "RS256", "kid": kid, "typ": "JWT", **changed}
        return {name: value for name, value in header.items() if value is not ...}

    def token(self, claims: Any, header: Any = None, key: Any = None) -> str:
        """A token of these parts (JSON values, or bytes as they are), signed by `key` or by the one that is named."""
        header = self.header() if header is None else header
        signed = f"{b64url(header)}.{b64url(claims)}".encode()
        return f"{signed.decode()}.{b64url(self.sign(signed, key or self.keys[header['kid']]))}"

    @staticmethod
    def sign(data: bytes, key: Any) -> bytes:
        if isinstance(key, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        signature: bytes = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return signature

    @staticmethod
    def new_key(number: int) -> Any:
        return _rsa_key(number)


def b64url(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@cache
def _rsa_key(_: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def _ec_key(_: int) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _jwk(kid: str, key: Any) -> dict[str, Any]:
    def text(number: int) -> str:
        return b64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))

    numbers = key.public_numbers()
    if isinstance(key, rsa.RSAPublicKey):
        return {"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": text(numbers.n), "e": text(numbers.e)}
    return {"kty": "EC", "kid": kid, "use": "sig", "crv": "P-256", "x": text(numbers.x), "y": text(numbers.y)}


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


class KeyServer(ThreadingHTTPServer):
    """Publishes a key set on loopback, well or not.

    Attributes:
        fetches: How often it was asked.
        status: What it answers.
        headers: What it says of the set.
        publish: The set.
    """

    def __init__(self, publish: Callable[[], bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _KeyRequest)
        self.fetches = 0
        self.status = 200
        self.headers: dict[str, str] = {"Cache-Control": "public, max-age=600, must-revalidate"}
        self.publish = publish
        self.url = f"http://127.0.0.1:{self.server_port}/certs"

    def handle_error(self, *_: Any) -> None:
        """Says nothing: a service that ends while it fetches hangs up."""


class _KeyRequest(BaseHTTPRequestHandler):
    server: KeyServer

    def do_GET(self) -> None:
        self.server.fetches += 1
        body = self.server.publish()
        self.send_response(self.server.status)
        for name, value in {**self.server.headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def key_server(issuer: Issuer) -> Iterator[KeyServer]:
    with KeyServer(issuer.document) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
