"""When a view is looked up, and how often; over real HTTP, to a server that counts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from features.stores.vertex_admin import ViewWatch, address_of_view
from features.values import FeatureRow

pytestmark = pytest.mark.anyio

SOURCE = "projects/p/locations/europe-west4/featureOnlineStores/s/featureViews/account"
UNKNOWN = {f"X{n}": None for n in range(10)}
A_ROW: Any = {"C1": FeatureRow(b"", (), 0, None)}


class Admin:
    """Answers GET with a status, and counts."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[str] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(head.decode().split(" ")[1])
                writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % self.status)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            writer.close()

    async def asked_so_far(self, times: int) -> None:
        """Returns when so many have asked; an error if they never do, or if there are more."""
        async with asyncio.timeout(30):
            while len(self.asked) < times:  # noqa: ASYNC110  # the answer comes by a socket
                await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(self.asked) == times


@pytest.fixture
def admin() -> Admin:
    return Admin()


@pytest.fixture
def watching(admin: Admin) -> Callable[[], Any]:
    """`async with watching() as watch`: over the views "account" and "other"."""

    @asynccontextmanager
    async def start() -> AsyncIterator[ViewWatch]:
        server = await asyncio.start_server(admin, "127.0.0.1", 0)
        root = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        watch = ViewWatch({"account": f"{root}/v1/account", "other": f"{root}/v1/other", "nowhere": None}, None)
        try:
            yield watch
        finally:
            await watch.aclose()
            server.close()

    return start


async def test_the_start_looks_at_each_view_once(watching: Callable[[], Any], admin: Admin) -> None:
    async with watching() as watch:
        assert await watch.open() == frozenset()
        assert sorted(admin.asked) == ["/v1/account", "/v1/other"]
        admin.status = 404
        assert await watch.open() == {"account", "other"}


async def test_a_view_of_which_nothing_comes_is_looked_up_now_and_then(
    watching: Callable[[], Any], admin: Admin
) -> None:
    async with watching() as watch:
        for _ in range(4):
            watch.note("account", UNKNOWN, 100.0)
        await admin.asked_so_far(0)
        for _ in range(1000):  # a caller sends keys that nobody has
            watch.note("account", UNKNOWN, 100.0)
        await admin.asked_so_far(1)
        watch.note("account", UNKNOWN, 129.9)
        await admin.asked_so_far(1)
        watch.note("account", UNKNOWN, 130.0)
        await admin.asked_so_far(2)
        assert set(admin.asked) == {"/v1/account"}
        assert admin.connections == 2  # that it opens in 30 s, not one that idles


async def test_a_row_among_them_shows_that_the_view_is_there(watching: Callable[[], Any], admin: Admin) -> None:
    async with watching() as watch:
        for _ in range(100):
            for _ in range(4):
                watch.note("account", UNKNOWN, 100.0)
            watch.note("account", A_ROW, 100.0)
        await admin.asked_so_far(0)


async def test_while_a_view_is_missing_it_is_looked_up_now_and_then(watching: Callable[[], Any], admin: Admin) -> None:
    async with watching() as watch:
        admin.status = 404
        await watch.open()
        admin.asked.clear()
        for _ in range(1000):
            assert watch.is_missing("account", 100.0)
        await admin.asked_so_far(1)
        admin.status = 200
        assert watch.is_missing("account", 129.9)
        await admin.asked_so_far(1)
        assert watch.is_missing("account", 130.0)
        await admin.asked_so_far(2)
        assert not watch.is_missing("account", 130.1)
        assert watch.is_missing("other", 130.1)


async def test_a_view_that_cannot_be_looked_up_is_no_worry(
    watching: Callable[[], Any], admin: Admin, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching() as watch:
        admin.status = 503
        assert await watch.open() == frozenset()
        assert "could not be looked up" in caplog.text
        for _ in range(1000):
            watch.note("nowhere", UNKNOWN, 100.0)
        assert not watch.is_missing("nowhere", 100.0)
        await admin.asked_so_far(2)


async def test_the_end_does_not_wait_for_an_answer(admin: Admin, caplog: pytest.LogCaptureFixture) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        admin.asked.append("x")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    watch = ViewWatch({"account": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"}, None)
    for _ in range(5):
        watch.note("account", UNKNOWN, 100.0)
    await admin.asked_so_far(1)
    await watch.aclose()
    assert not caplog.text  # as there would be, had it waited for the timeout
    server.close()


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, f"https://europe-west4-aiplatform.googleapis.com/v1/{SOURCE}"),
        ({"rest_endpoint": "proxy:1"}, f"https://proxy:1/v1/{SOURCE}"),
        ({"rest_endpoint": "proxy:1", "endpoint": "proxy:2"}, f"https://proxy:1/v1/{SOURCE}"),
        ({"rest_endpoint": "localhost:1", "plaintext": True}, f"http://localhost:1/v1/{SOURCE}"),
        ({"endpoint": "localhost:2"}, None),
    ],
)
def test_where_a_view_is_looked_up(given: dict[str, Any], address: str | None) -> None:
    usual: dict[str, Any] = {"endpoint": None, "rest_endpoint": None, "plaintext": False}
    assert address_of_view(SOURCE, "europe-west4", **{**usual, **given}) == address
