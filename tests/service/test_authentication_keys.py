"""Keys are fetched off the request path, seldom, and kept while the key server fails."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from threading import Event
from typing import Any

import pytest

from features.clock import ManualClock
from service.authentication import Authenticator
from service.authentication_jwk import verifiers
from service.authentication_keys import FetchedKeys, KeysNotFetched, fetch_once
from service.authentication_token import Expected
from service.errors import KeysUnavailable, Unauthenticated

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000
ISSUERS = frozenset({"https://accounts.google.com"})
R1 = ("r1", "RS256")


@pytest.fixture
async def keys(key_server: Any, clock: ManualClock) -> AsyncIterator[FetchedKeys]:
    async with FetchedKeys(key_server.url, clock) as fetched:
        yield fetched


@pytest.fixture
def authenticator(keys: FetchedKeys, issuer: Any, clock: ManualClock) -> Authenticator:
    return Authenticator(Expected(issuer.AUDIENCE, ISSUERS), keys, clock)


@pytest.fixture
def outcome(authenticator: Authenticator) -> Callable[[str], Awaitable[str]]:
    """`await outcome(token)`: in, 401 or 503."""

    async def ask(token: str) -> str:
        try:
            await authenticator.check([(b"authorization", b"Bearer " + token.encode())])
        except Unauthenticated:
            return "401"
        except KeysUnavailable:
            return "503"
        return "in"

    return ask


async def test_nothing_is_fetched_again_before_max_age_and_then_once_in_the_background(
    keys: FetchedKeys, key_server: Any, clock: ManualClock
) -> None:
    assert await keys.find(R1) is not None
    first = keys.current
    clock.advance(599)
    keys.refresh_if_due()
    assert await keys.find(R1) is not None
    assert key_server.fetches == 1
    clock.advance(1)
    for _ in range(5):
        keys.refresh_if_due()
        assert await keys.find(R1) is not None  # the old ones serve meanwhile
    flight = keys._flight
    assert flight is not None
    await flight
    assert key_server.fetches == 2
    assert keys.current is first  # nothing has changed, so nobody has to be checked again


@pytest.mark.parametrize(
    ("headers", "due_s"),
    [
        ({"Cache-Control": "max-age=100"}, 100),
        ({"Cache-Control": 'public, MAX-AGE="100"'}, 100),
        ({"Cache-Control": "max-age=300", "Age": "120"}, 180),
        ({"Cache-Control": "max-age=0"}, 60),
        ({"Cache-Control": "max-age=99999999"}, 86_400),
        ({"Cache-Control": "s-max-age=9"}, 3600),
        ({"Cache-Control": "max-age=x", "Age": "x"}, 3600),
        ({}, 3600),
    ],
)
async def test_max_age_says_when_within_bounds(
    keys: FetchedKeys, key_server: Any, clock: ManualClock, headers: dict[str, str], due_s: int
) -> None:
    key_server.headers = headers
    await keys.find(R1)
    clock.advance(due_s - 1)
    keys.refresh_if_due()
    assert keys._flight is None
    clock.advance(1)
    keys.refresh_if_due()
    assert keys._flight is not None


async def test_ten_thousand_unknown_keys_are_one_fetch_a_minute(
    outcome: Callable[[str], Awaitable[str]], issuer: Any, key_server: Any, clock: ManualClock
) -> None:
    good = issuer.token(issuer.claims(NOW))
    assert await outcome(good) == "in"
    stranger = issuer.new_key(7)
    signature = issuer.token(issuer.claims(NOW), key=stranger).rpartition(".")[2]
    claims = issuer.token(issuer.claims(NOW)).split(".")[1]
    for minute in range(1, 4):
        for number in range(10_000 // 3 + 1):
            header = _header(f"k{minute}-{number}")
            assert await outcome(f"{header}.{claims}.{signature}") == "401"
            clock.advance(60 / 3334)
        assert key_server.fetches <= 1 + minute
    assert key_server.fetches > 1
    assert await outcome(good) == "in"


async def test_a_new_key_is_taken_and_a_withdrawn_one_is_not_though_its_token_was_remembered(
    outcome: Callable[[str], Awaitable[str]], issuer: Any, key_server: Any, clock: ManualClock, keys: FetchedKeys
) -> None:
    old = issuer.token(issuer.claims(NOW))
    assert await outcome(old) == "in"
    clock.advance(61)
    issuer.keys = {"r2": issuer.new_key(2)}
    new = issuer.token(issuer.claims(NOW), issuer.header("r2"))
    assert await outcome(new) == "in"
    assert key_server.fetches == 2
    assert await outcome(old) == "401"
    assert set(keys.current) == {("r2", "RS256")}


async def test_a_key_that_changes_under_its_id_is_the_new_one(
    outcome: Callable[[str], Awaitable[str]], issuer: Any, clock: ManualClock, keys: FetchedKeys
) -> None:
    before = issuer.token(issuer.claims(NOW))
    assert await outcome(before) == "in"
    issuer.keys = {"r1": issuer.new_key(2)}
    after = issuer.token(issuer.claims(NOW))
    assert await outcome(after) == "401"
    clock.advance(600)
    keys.refresh_if_due()
    assert keys._flight is not None
    await keys._flight
    assert await outcome(after) == "in"  # the refusal is forgotten with the old keys
    assert await outcome(before) == "401"


async def test_a_failing_key_server_keeps_the_old_keys_and_is_complained_of_once_a_minute(
    outcome: Callable[[str], Awaitable[str]],
    issuer: Any,
    key_server: Any,
    keys: FetchedKeys,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = keys._clock
    assert isinstance(clock, ManualClock)
    assert await outcome(issuer.token(issuer.claims(NOW))) == "in"
    key_server.status = 500
    for minute in range(1, 4):
        clock.advance(600 if minute == 1 else 60)
        for number in range(20):
            token = issuer.token(issuer.claims(clock.wall(), sub=str(number)))
            assert await outcome(token) == "in"
            if keys._flight is not None:
                await keys._flight
        assert key_server.fetches == 1 + minute
    said = [line.message for line in caplog.records if line.levelno == logging.WARNING]
    assert said == [f"{key_server.url} answers 500; the old keys stay"] * 3


async def test_without_any_keys_it_is_503_and_the_key_server_is_asked_every_five_seconds(
    outcome: Callable[[str], Awaitable[str]],
    issuer: Any,
    key_server: Any,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    key_server.status = 503
    good = issuer.token(issuer.claims(NOW))
    for fetches in (1, 2):
        for _ in range(50):
            assert await outcome(good) == "503"
        assert key_server.fetches == fetches
        assert await outcome("nonsense") == "401"
        clock.advance(4.9)
        assert await outcome(good) == "503"
        assert key_server.fetches == fetches
        clock.advance(0.1)
    key_server.status = 200
    assert await outcome(good) == "in"
    assert key_server.fetches == 3
    said = [line.message for line in caplog.records if line.levelno == logging.WARNING]
    assert said == [f"{key_server.url} answers 503; nobody can be let in"]


async def test_a_request_with_an_unknown_key_waits_two_seconds_and_no_longer(
    keys: FetchedKeys, clock: ManualClock, settle: Callable[[], Awaitable[None]], key_server: Any
) -> None:
    held = Event()
    publish = key_server.publish

    def slow() -> bytes:
        held.wait(20)
        found: bytes = publish()
        return found

    key_server.publish = slow
    waiting = [asyncio.ensure_future(keys.find(R1)) for _ in range(3)]
    await settle()
    assert not any(one.done() for one in waiting)
    clock.advance(2)
    assert await asyncio.gather(*waiting) == [None] * 3
    flight = keys._flight
    assert flight is not None
    clock.advance(600)
    keys.refresh_if_due()
    assert keys._flight is flight  # a second one would wait as well
    held.set()
    await flight
    assert key_server.fetches == 1
    assert await keys.find(R1) is not None


DOCUMENTS = {
    "nothing": b"",
    "no JSON": b"<html>",
    "an array": b"[]",
    "no keys": b'{"keys": []}',
    "keys of a wrong type": b'{"keys": {"r1": 1}}',
    "certificates": b'{"r1": "-----BEGIN CERTIFICATE-----"}',
    "levels without end": b"[" * 100_000,
}


@pytest.mark.parametrize("what", DOCUMENTS)
async def test_what_is_no_key_set_is_a_failed_fetch(key_server: Any, what: str) -> None:
    key_server.publish = lambda: DOCUMENTS[what]
    with pytest.raises(KeysNotFetched, match="cannot be used"):
        await fetch_once(key_server.url)


async def test_a_set_that_is_far_too_long_is_a_failed_fetch(issuer: Any, key_server: Any) -> None:
    key_server.publish = lambda: issuer.document() + b" " * 300_000
    with pytest.raises(KeysNotFetched, match="far too long"):
        await fetch_once(key_server.url)


async def test_nobody_there_is_a_failed_fetch_and_redirects_are_not_followed(key_server: Any) -> None:
    with pytest.raises(KeysNotFetched, match="cannot be used"):
        await fetch_once("http://127.0.0.1:1/certs")
    key_server.status = 302
    key_server.headers = {"Location": key_server.url}
    with pytest.raises(KeysNotFetched, match="answers 302"):
        await fetch_once(key_server.url)
    assert key_server.fetches == 1


def test_of_a_set_only_keys_for_signatures_of_the_two_kinds_are_taken(issuer: Any) -> None:
    rsa, ec = json.loads(issuer.document())["keys"]
    small = {**rsa, "kid": "small", "n": "AQAB"}
    others: list[Any] = [
        small,
        {**rsa, "kid": "encrypts", "use": "enc"},
        {**rsa, "kid": "signs", "key_ops": ["sign"]},
        {**rsa, "kid": "other", "alg": "RS512"},
        {**rsa, "kid": 1},
        {name: value for name, value in rsa.items() if name != "kid"},
        {**rsa, "kid": "even", "e": "Ag"},
        {**ec, "kid": "curve", "crv": "P-384"},
        {**ec, "kid": "off the curve", "x": ec["y"]},
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
        {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": ec["x"]},
        {"kty": "RSA", "kid": "empty"},
        {**rsa, "kid": "huge", "n": "_" * 20_000},
        "text",
        None,
    ]
    taken = verifiers(json.dumps({"keys": [*others, rsa, ec]}).encode())
    assert set(taken) == {("r1", "RS256"), ("e1", "ES256")}


def _header(kid: str) -> str:
    text = json.dumps({"alg": "RS256", "kid": kid, "typ": "JWT"}).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()
