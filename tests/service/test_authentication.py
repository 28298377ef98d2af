"""Whoever shows a good ID token comes in, by every route but the health routes; without the setting nobody is asked."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from features.clock import ManualClock
from features.stores.memory import MemoryStore
from service.app import create_admin_app, create_app
from service.authentication import _REMEMBERED, Authenticator
from service.authentication_guard import BearerGuard
from service.authentication_jwk import verifiers
from service.authentication_settings import expected_claims
from service.authentication_token import Expected, Verifier
from service.errors import StartError, Unauthenticated
from service.lean_routes import Shortcut
from service.middleware import Outermost
from service.settings import Platform, Settings
from service.wiring import running_service

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000
GOOD = {"instances": [["C1", "M1", 12.5]]}
ALIAS = Platform(predict_route="/v1:predict", health_route="/v1")


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}"}


@pytest.fixture
async def client(
    serve: Callable[..., Awaitable[httpx.AsyncClient]],
    shop: Callable[..., Path],
    goods: MemoryStore,
    issuer: Any,
    key_server: Any,
) -> httpx.AsyncClient:
    return await serve(shop(), goods, platform=ALIAS, auth_audience=issuer.AUDIENCE, auth_certs_url=key_server.url)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
@pytest.mark.parametrize("kid", ["r1", "e1"])
async def test_a_good_token_comes_in(client: httpx.AsyncClient, issuer: Any, kid: str, scheme: str) -> None:
    token = issuer.token(issuer.claims(NOW), issuer.header(kid))
    for path in ("/predict", "/predict/detailed", "/v1:predict"):
        assert (await client.post(path, json=GOOD, headers=bearer(token, scheme))).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "accounts.google.com"},
        {"exp": NOW - 29},
        {"iat": NOW + 30},
        {"nbf": NOW + 30},
        {"email": ...},
        {"email_verified": False},
        {"nonce": {"of": ["any", "kind", None]}},
    ],
)
async def test_what_the_settings_do_not_ask_for_may_be_as_it_likes(
    client: httpx.AsyncClient, issuer: Any, changed: dict[str, Any]
) -> None:
    token = issuer.token(issuer.claims(NOW, **changed), issuer.header(typ=...))
    assert (await client.post("/predict", json=GOOD, headers=bearer(token))).status_code == 200


async def test_every_route_is_guarded_but_health(client: httpx.AsyncClient, issuer: Any) -> None:
    token = issuer.token(issuer.claims(NOW))
    for path in ("/livez", "/readyz", "/v1"):
        assert (await client.get(path)).status_code == 200
        assert (await client.post(path)).status_code == 401
    for path in ("/metadata", "/metrics", "/docs", "/openapi.json", "/docs-assets/swagger-ui.css", "/livez/"):
        assert (await client.get(path)).status_code == 401
    for path in ("/metadata", "/metrics", "/docs", "/openapi.json", "/docs-assets/swagger-ui.css"):
        assert (await client.get(path, headers=bearer(token))).status_code == 200
    for path in ("/predict", "/predict/detailed", "/v1:predict", "/other", "/"):
        for method in ("GET", "POST", "PUT", "OPTIONS", "HEAD"):
            assert (await client.request(method, path)).status_code == 401


async def test_a_health_route_that_is_another_route_opens_nothing(
    serve: Callable[..., Awaitable[httpx.AsyncClient]], shop: Callable[..., Path], goods: MemoryStore, key_server: Any
) -> None:
    for path in ("/metadata", "/predict"):
        client = await serve(
            shop(), goods, platform=Platform(health_route=path), auth_audience="a", auth_certs_url=key_server.url
        )
        assert (await client.get(path)).status_code == 401
        assert (await client.get("/readyz")).status_code == 200


async def test_a_token_ends_by_the_wall_clock_though_it_is_remembered(
    client: httpx.AsyncClient, issuer: Any, clock: ManualClock
) -> None:
    headers = bearer(issuer.token(issuer.claims(NOW, exp=NOW + 100)))
    for ahead_s, status in ((0, 200), (129, 200), (130, 401)):
        clock.step_wall(NOW + ahead_s - clock.wall())
        assert (await client.post("/predict", json=GOOD, headers=headers)).status_code == status


async def test_without_keys_it_is_503_with_retry_after(client: httpx.AsyncClient, issuer: Any, key_server: Any) -> None:
    key_server.status = 500
    answer = await client.post("/predict", json=GOOD, headers=bearer(issuer.token(issuer.claims(NOW))))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "urn:keyscore:problem:authentication-unavailable"
    assert key_server.url not in answer.text


class Counting:
    """The issuer's keys at hand; counts how often a signature is looked at."""

    def __init__(self, issuer: Any) -> None:
        self.current = {name: self._counted(one) for name, one in verifiers(issuer.document()).items()}
        self.looked = 0

    def _counted(self, inner: Verifier) -> Verifier:
        outer = self

        class One:
            def verify(self, message: bytes, signature: bytes) -> bool:
                outer.looked += 1
                return inner.verify(message, signature)

        return One()

    async def find(self, key: tuple[str, str]) -> Verifier | None:
        return self.current.get(key)

    def refresh_if_due(self) -> None:
        """Nothing is ever due."""


async def test_a_signature_is_looked_at_once_and_a_forged_one_again_after_ten_seconds(
    issuer: Any, clock: ManualClock
) -> None:
    keys = Counting(issuer)
    authenticator = Authenticator(Expected(issuer.AUDIENCE, frozenset({"https://accounts.google.com"})), keys, clock)

    async def ask(token: str) -> bool:
        try:
            await authenticator.check([(b"host", b"x"), (b"authorization", b"Bearer " + token.encode())])
        except Unauthenticated:
            return False
        return True

    good = issuer.token(issuer.claims(NOW))
    forged = issuer.token(issuer.claims(NOW), key=issuer.new_key(7))
    assert [await ask(good) for _ in range(5)] == [True] * 5
    assert keys.looked == 1
    assert [await ask(forged) for _ in range(5)] == [False] * 5
    assert keys.looked == 2
    clock.advance(10)
    assert not await ask(forged)
    assert keys.looked == 3
    for number in range(_REMEMBERED + 10):  # forged ones push each other out, never a good one
        authenticator._refused[sha256(str(number).encode()).digest()] = clock.wall() + 10
    assert await ask(good)
    assert keys.looked == 3
    assert repr(authenticator) == f"<Authenticator 1 good, {_REMEMBERED} refused, 2 keys>"


async def test_the_document_says_what_is_asked_for(client: httpx.AsyncClient, issuer: Any) -> None:
    headers = bearer(issuer.token(issuer.claims(NOW)))
    document = (await client.get("/openapi.json", headers=headers)).json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            guarded = path not in ("/livez", "/readyz")
            assert operation.get("security") == ([{"bearer": []}] if guarded else None)
            assert ("401" in operation["responses"]) == guarded
            assert not guarded or "503" in operation["responses"]


def layers_of(app: FastAPI) -> list[type]:
    """What a request meets before FastAPI, from the outside in."""
    layer, found = app.state.layers, []
    while hasattr(layer, "_app"):
        found.append(type(layer))
        layer = layer._app
    return found


async def test_off_there_is_no_guard_at_all(
    shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock, issuer: Any, key_server: Any
) -> None:
    bundle = str(shop())
    async with running_service(Settings(bundle=bundle), Platform(), store=goods, clock=clock) as service:
        assert service.authenticator is None
        assert BearerGuard not in layers_of(create_app(service))
        assert "securitySchemes" not in create_app(service).openapi()["components"]
    on = Settings(bundle=bundle, auth_audience=issuer.AUDIENCE, auth_certs_url=key_server.url, admin_port=0)
    async with running_service(on, Platform(), store=goods, clock=clock) as service:
        assert layers_of(create_app(service)) == [Outermost, BearerGuard, Shortcut]
        admin = create_admin_app(service)
        transport = httpx.ASGITransport(admin)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as plain:
            assert (await plain.get("/metrics")).status_code == 200  # who can reach that port is for the network to say
        paths = admin.openapi()["paths"]
        assert [path for path in paths if "security" in next(iter(paths[path].values()))] == [
            "/predict", "/predict/detailed",
        ]  # fmt: skip


async def test_a_refusal_is_counted_under_the_route_that_was_asked_for(
    shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock, issuer: Any, key_server: Any
) -> None:
    on = Settings(bundle=str(shop()), auth_audience=issuer.AUDIENCE, auth_certs_url=key_server.url)
    async with (
        running_service(on, ALIAS, store=goods, clock=clock) as service,
        httpx.AsyncClient(transport=httpx.ASGITransport(create_app(service)), base_url="http://test") as plain,
    ):
        for path in ("/predict", "/v1:predict", "/metrics", "/predict/C00017", "/docs-assets/swagger-ui.css"):
            assert (await plain.post(path)).status_code == 401
        found = service.tally.requests
    assert found == {("/predict", 401): 1, ("/v1:predict", 401): 1, ("/metrics", 401): 1, ("other", 401): 2}


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"auth_emails": "a@example.com"}, "KEYSCORE_AUTH_EMAILS is set but KEYSCORE_AUTH_AUDIENCE is not"),
        ({"auth_issuers": "https://issuer.example"}, "KEYSCORE_AUTH_ISSUERS is set but"),
        ({"auth_certs_url": "https://issuer.example/certs"}, "KEYSCORE_AUTH_CERTS_URL is set but"),
        ({"auth_audience": "a", "auth_emails": " , "}, "KEYSCORE_AUTH_EMAILS names nobody"),
        ({"auth_audience": "a", "auth_issuers": ","}, "KEYSCORE_AUTH_ISSUERS names nobody"),
        ({"auth_audience": "a", "auth_certs_url": "http://issuer.example/certs"}, "must begin with https://"),
        ({"auth_audience": "a", "auth_certs_url": "http://127.0.0.1.example/certs"}, "must begin with https://"),
        ({"auth_audience": "a", "auth_certs_url": "file:///etc/keys"}, "must begin with https://"),
    ],
)
def test_settings_that_would_let_in_anybody_by_mistake_are_refused(chosen: dict[str, str], said: str) -> None:
    with pytest.raises(StartError, match=said):
        expected_claims(Settings(**chosen))


def test_the_settings_say_what_is_expected() -> None:
    assert expected_claims(Settings()) is None
    chosen = Settings(auth_audience="a", auth_issuers="i, j", auth_emails="e@example.com,f@example.com ,")
    assert expected_claims(chosen) == Expected("a", frozenset("ij"), frozenset({"e@example.com", "f@example.com"}))


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[int]:
    """The app on a real socket of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(uvicorn.Config(app, http="httptools", lifespan="off", log_config=None))
        running = asyncio.create_task(server.serve([bound]))
        yield bound.getsockname()[1]
        server.should_exit = True
        await running


async def test_after_a_refusal_the_connection_goes_on_although_the_body_was_not_read(
    shop: Callable[..., Path], goods: MemoryStore, clock: ManualClock, issuer: Any, key_server: Any
) -> None:
    settings = Settings(bundle=str(shop()), auth_audience=issuer.AUDIENCE, auth_certs_url=key_server.url)
    body = b'{"instances": [["C1", "M1", 12.5]]}'

    def talk(port: int) -> list[tuple[int, bool]]:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.connect()
        first = connection.sock
        found = []
        for token in ("nonsense", issuer.token(issuer.claims(NOW)), "nonsense", issuer.token(issuer.claims(NOW))):
            padding = b" " * 100_000 if token == "nonsense" else b""  # noqa: S105  # no password
            connection.request("POST", "/predict", body + padding, bearer(token))
            answer = connection.getresponse()
            answer.read()
            found.append((answer.status, connection.sock is first))
        connection.close()
        return found

    async with (
        running_service(settings, Platform(), store=goods, clock=clock) as service,
        listening(create_app(service)) as port,
    ):
        assert await asyncio.to_thread(talk, port) == [(401, True), (200, True), (401, True), (200, True)]
