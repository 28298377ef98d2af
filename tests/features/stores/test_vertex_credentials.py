"""One refresh of a token at a time, in the background while the old one is good; against a local metadata server."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from google.auth.compute_engine import _metadata

from features.errors import StoreDenied
from features.stores.vertex_credentials import GoogleTokens

pytestmark = pytest.mark.anyio


class MetadataServer:
    """What a virtual machine of Google's answers about its account; counts the tokens it gives."""

    def __init__(self) -> None:
        self.lifetime_s = 3600
        self.given = 0
        self.asked = 0
        self.refuses = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                if outer.refuses:
                    self.send_error(404)
                    return
                if self.path.split("?")[0].endswith("/token"):
                    outer.given += 1
                    told: object = {
                        "access_token": f"token-{outer.given}",
                        "expires_in": outer.lifetime_s,
                        "token_type": "Bearer",
                    }
                elif "/service-accounts/" in self.path:
                    told = {"email": "me@example", "scopes": [], "aliases": ["default"]}
                else:
                    told = "p"
                body = (told if isinstance(told, str) else json.dumps(told)).encode()
                self.send_response(200)
                self.send_header("Metadata-Flavor", "Google")
                self.send_header("Content-Type", "text/plain" if isinstance(told, str) else "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetadataServer]:
    server = MetadataServer()
    for name in ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"):
        monkeypatch.setenv(name, server.address)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")
    monkeypatch.setenv("NO_GCE_CHECK", "false")
    # google-auth reads the addresses when it is imported
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", server.address, raising=False)
    monkeypatch.setattr(_metadata, "_METADATA_ROOT", f"http://{server.address}/computeMetadata/v1/", raising=False)
    monkeypatch.setattr(_metadata, "_METADATA_IP_ROOT", f"http://{server.address}", raising=False)
    yield server
    server.server.shutdown()
    server.server.server_close()


async def test_the_first_token_is_there_before_anybody_asks(metadata: MetadataServer) -> None:
    tokens = GoogleTokens()
    await tokens.warm()
    given = metadata.given
    assert await tokens.token() == f"token-{given}"
    assert metadata.given == given


async def test_a_token_about_to_expire_is_used_while_one_refresh_runs(metadata: MetadataServer) -> None:
    metadata.lifetime_s = 100  # less than the time before the end at which it is renewed
    tokens = GoogleTokens()
    await tokens.warm()
    given = metadata.given
    metadata.lifetime_s = 3600
    asked = await asyncio.gather(*(tokens.token() for _ in range(20)))
    assert set(asked) == {f"token-{given}"}
    assert tokens._refreshing is not None
    await tokens._refreshing
    assert await tokens.token() == f"token-{given + 1}"


async def test_an_expired_token_is_waited_for_by_all_and_asked_for_once(metadata: MetadataServer) -> None:
    metadata.lifetime_s = -10
    tokens = GoogleTokens()
    await tokens.warm()
    given = metadata.given
    metadata.lifetime_s = 3600
    assert set(await asyncio.gather(*(tokens.token() for _ in range(20)))) == {f"token-{given + 1}"}


async def test_no_credentials_are_told_in_words(metadata: MetadataServer) -> None:
    metadata.refuses = True
    with pytest.raises(StoreDenied, match="no Google credentials"):
        await GoogleTokens().warm()


async def test_a_renewal_that_failed_is_not_tried_again_at_once(metadata: MetadataServer) -> None:
    metadata.lifetime_s = -10
    tokens = GoogleTokens()
    await tokens.warm()
    metadata.refuses = True
    for _ in range(20):
        with pytest.raises(StoreDenied):
            await tokens.token()
    asked = metadata.asked
    with pytest.raises(StoreDenied, match="a moment ago"):
        await tokens.token()
    assert metadata.asked == asked


_HUNG = """
import asyncio, threading
from features.stores.vertex_credentials import GoogleTokens

class Hung(GoogleTokens):
    def _refresh_blocking(self):
        loop.call_soon_threadsafe(begun.set)
        threading.Event().wait()

async def main():
    global loop, begun
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    warming = asyncio.ensure_future(Hung().warm())
    await begun.wait()

asyncio.run(main())
"""


def test_a_process_ends_although_a_renewal_hangs() -> None:
    subprocess.run([sys.executable, "-c", _HUNG], check=True, timeout=60)  # noqa: S603  # our own words
