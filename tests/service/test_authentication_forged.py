"""No forged token comes in, and none learns from its refusal what was wrong with it."""

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from features.clock import ManualClock
from features.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio

Headers = list[tuple[bytes, bytes]]
NOW = 1_700_000_000  # where the manual clock stands


def b64url(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def algorithms(issuer: Any) -> Iterator[tuple[str, str]]:
    """Signed otherwise than is said, or not at all."""
    claims = issuer.claims(NOW)
    for spelling in ("none", "None", "NONE", "nOnE"):
        header = issuer.header(alg=spelling)
        yield f"alg {spelling}, no signature", f"{b64url(header)}.{b64url(claims)}."
        yield f"alg {spelling}, two parts", f"{b64url(header)}.{b64url(claims)}"
        yield f"alg {spelling}, a good signature", issuer.token(claims, header)
    public = issuer.keys["r1"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for name, secret in {"PEM": pem, "DER": der, "key set": issuer.document(), "nothing": b""}.items():
        for spelling in ("HS256", "RS256"):
            signed = f"{b64url(issuer.header(alg=spelling))}.{b64url(claims)}"
            mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
            yield f"{spelling} by HMAC with {name}", f"{signed}.{b64url(mac)}"
    for alg in (
        "HS256",
        "RS384",
        "RS512",
        "PS256",
        "ES256",
        "ES384",
        "EdDSA",
        "rs256",
        "RS256 ",
        ["RS256"],
        None,
        1,
        ...,
    ):
        yield f"alg {alg!r}", issuer.token(claims, issuer.header(alg=alg))
    yield "RS256 with an EC key", issuer.token(claims, issuer.header("e1", alg="RS256"))


def signatures(issuer: Any) -> Iterator[tuple[str, str]]:
    """By another key, over something else, or of another form."""
    good = issuer.token(issuer.claims(NOW))
    head, payload, signature = good.split(".")
    stranger = issuer.new_key(7)
    yield "a stranger's key", issuer.token(issuer.claims(NOW), key=stranger)
    yield "other claims", f"{head}.{b64url(issuer.claims(NOW, sub='2'))}.{signature}"
    yield "another header", f"{b64url(issuer.header(typ=...))}.{payload}.{signature}"
    yield "zeros", f"{head}.{payload}.{b64url(bytes(256))}"
    yield "ones", f"{head}.{payload}.{b64url(bytes([1]))}"
    yield "one byte less", f"{head}.{payload}.{b64url(bytes(255))}"
    ec_header = issuer.header("e1")
    signed = f"{b64url(ec_header)}.{b64url(issuer.claims(NOW))}"
    yield "EC zeros", f"{signed}.{b64url(bytes(64))}"
    raw = issuer.sign(signed.encode(), issuer.keys["e1"])
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    yield "EC as DER", f"{signed}.{b64url(der)}"
    yield "EC halves swapped", f"{signed}.{b64url(raw[32:] + raw[:32])}"
    jwk = json.loads(issuer.document())["keys"][0]
    for name, injected in {
        "jwk": jwk,
        "jku": "https://evil.example/certs",
        "x5u": "https://evil.example/cert",
        "x5c": [base64.b64encode(b"cert").decode()],
    }.items():
        for kid in ("r1", "evil"):
            header = issuer.header(kid, alg="RS256", **{name: injected})
            yield f"{name} in the header, key {kid}", issuer.token(issuer.claims(NOW), header, stranger)
    for kid in ("r2", "", None, 1, ["r1"], {"r1": 1}, "R1", "r1 ", "../r1", "r1\x00", "r1' OR '1'='1", ...):
        header = {name: value for name, value in {**issuer.header(), "kid": kid}.items() if value is not ...}
        yield f"key id {kid!r}", issuer.token(issuer.claims(NOW), header, issuer.keys["r1"])
    yield "critical header", issuer.token(issuer.claims(NOW), issuer.header(crit=["exp"]))
    for kind in ("at+jwt", "JOSE", ["JWT"], 1, None):
        yield f"type {kind!r}", issuer.token(issuer.claims(NOW), issuer.header(typ=kind))


CLAIMS: list[dict[str, Any]] = [
    *({"aud": other} for other in ("https://other.example.com", "", None, 1, ..., {}, True)),
    *({"aud": other} for other in (["https://scores.example.com"], ["https://scores.example.com", "other"], [])),
    *({"aud": other} for other in ("https://scores.example.com/", "HTTPS://SCORES.EXAMPLE.COM", "scores.example.com")),
    *({"iss": other} for other in ("https://evil.example", "", None, ..., ["https://accounts.google.com"])),
    *({"iss": other} for other in ("https://accounts.google.com/", "https://accounts.google.com.evil.example")),
    *({"exp": other} for other in (NOW - 30, NOW - 31, 0, -1, -NOW, ..., None, True, [], {}, str(NOW + 600))),
    *({"exp": other} for other in (NOW + 600.5, float(NOW + 600), float("nan"), float("inf"), float("-inf"))),
    *({"nbf": other} for other in (NOW + 31, NOW + 10**9, "0", None, -1, 0.5, True, float("nan"))),
    *({"iat": other} for other in (NOW + 31, NOW + 10**9, "0", None, -1, 0.5, ..., float("nan"))),
    *({"email": other} for other in ("other@example.com", "", None, ..., ["caller@project.iam.gserviceaccount.com"])),
    *(
        {"email": other}
        for other in ("CALLER@project.iam.gserviceaccount.com", " caller@project.iam.gserviceaccount.com")
    ),
    {"email": "caller@project.iam.gserviceaccount.com\n"},
    {"email": "c\u0430ller@project.iam.gserviceaccount.com"},
    *({"email_verified": other} for other in (False, None, ..., "true", 1, "false")),
    {"nonce": float("nan")},
    {"nonce": [float("inf")]},
]


def forms(issuer: Any) -> Iterator[tuple[str, str]]:
    """Not quite three parts of base64url of JSON objects, though signed by the right key."""
    claims = issuer.claims(NOW)
    good = issuer.token(claims)
    head, payload, signature = good.split(".")
    for cut in (1, 2, 10, len(signature), len(signature) + 1):
        yield f"{cut} characters less", good[:-cut]
    for name, text in {
        "one part": head,
        "no parts": "..",
        "four parts": f"{good}.{signature}",
        "five parts": f"{good}.{signature}.{signature}",
        "a dot more": f"{good}.",
        "a dot before": f".{good}",
        "an empty header": f".{payload}.{signature}",
        "empty claims": f"{head}..{signature}",
        "trailing garbage": f"{good}A",
        "padding": f"{good}=",
        "two paddings": f"{good}==",
        "a space in it": f"{head}. {payload}.{signature}",
        "standard base64": f"{head}.{payload}.{signature[:-1]}+",
        "a character of neither": f"{head}.{payload}.{signature[:-1]}!",
        "a percent sign": f"{head}.{payload}.%41{signature[3:]}",
        "another spelling of the last byte": good[:-1] + chr(ord(good[-1]) + 1),
        "twice": f"{good}{good}",
        "a comma": f"{good},{good}",
        "quotes": f'"{good}"',
    }.items():
        yield name, text
    text = json.dumps(claims)
    for name, body in {
        "claims twice": (text[:-1] + ', "aud": "https://scores.example.com"}').encode(),
        "the issuer twice": ('{"iss": "https://evil.example", ' + text[1:]).encode(),
        "no JSON": b"claims",
        "an array": json.dumps([claims]).encode(),
        "text": json.dumps(text).encode(),
        "null": b"null",
        "a nested token": good.encode(),
        "a nested token as text": json.dumps(good).encode(),
        "UTF-16": text.encode("utf-16"),
        "a byte order mark": b"\xef\xbb\xbf" + text.encode(),
        "not UTF-8": text.replace("123", "\xff").encode("latin-1"),
        "garbage after": text.encode() + b"{}",
        "levels without end": b"[" * 5000,
        "levels": b'{"a":' * 2000 + b"1" + b"}" * 2000,
        "many digits": text.replace(str(claims["exp"]), "9" * 5000).encode(),
    }.items():
        yield f"claims: {name}", issuer.token(body)
    twice = json.dumps(issuer.header())[:-1] + ', "alg": "RS256"}'
    for name, body in {"twice": twice.encode(), "an array": b"[]", "no JSON": b"RS256", "null": b"null"}.items():
        signed = f"{b64url(body)}.{payload}"
        yield f"header: {name}", f"{signed}.{b64url(issuer.sign(signed.encode(), issuer.keys['r1']))}"
    for size in (8_200, 100_000, 1_000_000):
        yield f"{size} bytes more", issuer.token({**claims, "more": "x" * size})


def others(issuer: Any) -> Iterator[tuple[str, Headers]]:
    """A good token in the wrong place, and what is no token."""
    good = issuer.token(issuer.claims(NOW)).encode()
    name = b"authorization"
    yield "nothing", []
    yield "another header", [(b"x-serverless-authorization", b"Bearer " + good)]
    yield "a cookie", [(b"cookie", b"authorization=Bearer " + good)]
    yield "two headers", [(name, b"Bearer " + good), (name, b"Bearer " + good)]
    yield "two headers, one of them Basic", [(name, b"Basic QTpC"), (name, b"Bearer " + good)]
    for value in (
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic QTpC",
        b"Basic " + good,
        b"Digest " + good,
        b"Bear " + good,
        b"Bearer:" + good,
        b"Bearer=" + good,
        b"Bearer\t" + good,
        b"Bearer\xa0" + good,
        b"Bearer" + good,
        b"Bearer Bearer " + good,
        b"Token " + good,
        good,
        b"Bearer " + good + b" x",
        b"Bearer " + good + b"\xc3\xa9",
        b"Bearer \xf0\x9f\x94\x91",
        b"\xef\xbc\xa2earer " + good,
    ):
        yield f"{value[:12]!r} and {len(value) - 12} more", [(name, value)]


def forged(issuer: Any) -> dict[str, Headers]:
    tokens = {
        f"{make.__name__}: {name}": token for make in (algorithms, signatures, forms) for name, token in make(issuer)
    }
    tokens |= {f"claims: {changed}": issuer.token(issuer.claims(NOW, **changed)) for changed in CLAIMS}
    wrapped = {name: [(b"authorization", b"Bearer " + token.encode())] for name, token in tokens.items()}
    return wrapped | {f"others: {name}": headers for name, headers in others(issuer)}


@pytest.fixture
async def client(
    serve: Callable[..., Awaitable[httpx.AsyncClient]],
    shop: Callable[..., Path],
    goods: MemoryStore,
    issuer: Any,
    key_server: Any,
) -> httpx.AsyncClient:
    emails = f"someone@example.com, {issuer.EMAIL}"
    return await serve(shop(), goods, auth_audience=issuer.AUDIENCE, auth_emails=emails, auth_certs_url=key_server.url)


async def unread() -> AsyncIterator[bytes]:
    raise AssertionError("the body is read")
    yield b""  # makes a generator of this


async def test_no_forged_token_comes_in_and_all_are_refused_alike_before_the_body_is_read(
    client: httpx.AsyncClient, issuer: Any, clock: ManualClock
) -> None:
    assert clock.wall() == NOW
    body = {"instances": [["C1", "M1", 12.5]]}
    control = {"Authorization": f"Bearer {issuer.token(issuer.claims(NOW))}"}
    assert (await client.post("/predict", json=body, headers=control)).status_code == 200
    tried = forged(issuer)
    assert len(tried) > 200
    accepted, answers = [], set()
    for name, headers in tried.items():
        answer = await client.post("/predict", content=unread(), headers=headers)
        if answer.status_code != 401:
            accepted.append((name, answer.status_code))
        told = {**answer.json(), "request_id": None}
        kept = {key: value for key, value in answer.headers.items() if key != "x-request-id"}
        kept["content-length"] = str(len(answer.content) - len(answer.json()["request_id"]))
        answers.add(json.dumps([told, kept], sort_keys=True))
    assert accepted == []
    (only,) = answers
    told, kept = json.loads(only)
    assert told["type"] == "urn:keyscore:problem:unauthenticated"
    assert kept["www-authenticate"] == "Bearer"
    assert kept["content-type"] == "application/problem+json"


async def test_the_reason_is_a_debug_line_without_the_token(
    client: httpx.AsyncClient, issuer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "keyscore")
    token = issuer.token(issuer.claims(NOW, aud="https://other.example.com"))
    await client.post("/predict", json={}, headers={"Authorization": f"Bearer {token}"})
    (line,) = (one for one in caplog.records if "ID token" in one.message and one.levelname == "DEBUG")
    assert line.message == "a request without a good ID token: audience"
    assert token not in caplog.text
