"""An embedded store with a few rows, an emulator on it, and a bare gRPC client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from features.emulator import Emulator
from features.stores.sqlite_writer import SqliteWriter, StoredRow
from features.stores.vertex_messages import (
    V1,
    V1BETA1,
    DataKey,
    DirectWriteRequest,
    DirectWriteResponse,
    FetchRequest,
    FetchResponse,
    StreamingRequest,
    StreamingResponse,
)
from features.values import DType

STORE = "projects/p/locations/l/featureOnlineStores/s/featureViews/"
COLUMNS = {"balance": DType.FLOAT, "visits": DType.INT, "city": DType.STRING, "active": DType.BOOL}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """View `account` with keys C0 to C9 and `empty` (all null); view `pair` with a composite key; view `single`."""
    path = tmp_path / "store.sqlite"
    rows = [
        StoredRow(
            f"C{n}",
            {"balance": n + 0.25, "visits": 2**53 + 1 + n, "city": f"Zürich {n}", "active": n % 2 == 0},
            1_700_000_000.5 + n,
            {"city": 1_600_000_000.0},
        )
        for n in range(10)
    ]
    with SqliteWriter(path) as writer:
        writer.replace_view("account", ("customer_id",), COLUMNS, [*rows, StoredRow("empty", {})])
        pair = StoredRow(("C1", "M1"), {"count": 3}, 1_700_000_000.0)
        writer.replace_view("pair", ("customer_id", "merchant_id"), {"count": DType.INT}, [pair])
        writer.replace_view("single", ("id",), {"score": DType.FLOAT}, [StoredRow("only", {"score": 1.0})])
    return path


class Client:
    """Calls the emulator as a service does, with the right routing header unless told otherwise."""

    def __init__(self, port: int, *, retries: bool = False) -> None:
        options = [
            ("grpc.enable_retries", int(retries)),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 1),
            ("grpc.min_reconnect_backoff_ms", 5_000),  # how long an attempt to connect may take
            ("grpc.max_reconnect_backoff_ms", 20),
        ]
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options)

    async def fetch(
        self,
        view: str = "account",
        key: str | Iterable[str] = "C1",
        *,
        data_format: int = 0,
        service: str = V1,
        routing: str | None = None,
        timeout_s: float = 5,
    ) -> Any:
        request = FetchRequest(feature_view=STORE + view, data_key=data_key(key), data_format=data_format)
        call = self.channel.unary_unary(
            service + "FetchFeatureValues", FetchRequest.SerializeToString, FetchResponse.FromString
        )
        return await call(request, metadata=_metadata(view, routing), timeout=timeout_s)

    async def recovered(self) -> None:
        """Returns when a read succeeds again; calls that meet the broken connection before gRPC notices do not."""
        while True:
            try:
                await self.fetch()
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017  # any other ends the wait
            else:
                return

    def open_stream(self, view: str = "account", *, routing: str | None = None, timeout_s: float = 5) -> Any:
        call = self.channel.stream_stream(
            V1BETA1 + "StreamingFetchFeatureValues", StreamingRequest.SerializeToString, StreamingResponse.FromString
        )
        return call(metadata=_metadata(view, routing), timeout=timeout_s)

    async def stream(
        self,
        view: str = "account",
        keys: Iterable[str | Iterable[str]] = ("C1", "C2"),
        *,
        routing: str | None = None,
        timeout_s: float = 5,
    ) -> list[Any]:
        stream = self.open_stream(view, routing=routing, timeout_s=timeout_s)
        await stream.write(StreamingRequest(feature_view=STORE + view, data_keys=[data_key(key) for key in keys]))
        await stream.done_writing()
        return [message async for message in stream]

    async def write(self, view: str, entries: Iterable[Mapping[str, Any]], *, service: str = V1) -> list[Any]:
        call = self.channel.stream_stream(
            service + "FeatureViewDirectWrite", DirectWriteRequest.SerializeToString, DirectWriteResponse.FromString
        )
        stream = call(metadata=_metadata(view, None), timeout=5)
        await stream.write(DirectWriteRequest(feature_view=STORE + view, data_key_and_feature_values=list(entries)))
        await stream.done_writing()
        return [message async for message in stream]

    @staticmethod
    def values(response: Any) -> dict[str, Any]:
        """Feature name to value, None for null; of a repeated name the last."""
        found = {}
        for pair in response.key_values.features:
            kind = pair.value.WhichOneof("value")
            found[pair.name] = None if kind is None else getattr(pair.value, kind)
        return found


def data_key(key: str | Iterable[str]) -> Any:
    if isinstance(key, str):
        return DataKey(key=key)
    return DataKey(composite_key=DataKey.CompositeKey(parts=list(key)))


def _metadata(view: str, routing: str | None) -> tuple[tuple[str, str], ...]:
    header = f"feature_view={STORE}{view}" if routing is None else routing
    return (("x-goog-request-params", header),) if header != "none" else ()


@pytest.fixture
async def emulator(store_path: Path) -> AsyncIterator[Emulator]:
    """The gRPC side alone, at most three keys in an answer."""
    async with Emulator(store_path, rest_port=None, keys_per_answer=3) as emulator:
        yield emulator


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[Client]:
    client = Client(emulator.port)
    async with client.channel:
        yield client


@pytest.fixture
def connect() -> type[Client]:
    """Makes a client of a port, for an emulator of the test's own."""
    return Client


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Awaiting `until(condition)` lets the emulator work until the condition holds; the test's own limit ends it."""

    async def waited(condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110  # what is waited for is a count, which tells nobody that it moves
            await asyncio.sleep(0)

    return waited
