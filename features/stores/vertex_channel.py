"""gRPC channels to Vertex AI Feature Store and what its status codes mean. The one door to grpc."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Protocol

import grpc
import grpc.aio

from features.errors import (
    StoreAnswerInvalid,
    StoreAnswerTooLarge,
    StoreDenied,
    StoreError,
    StoreExhausted,
    StoreFailed,
    StoreTimeout,
    StoreUnavailable,
    StoreViewUnreadable,
)

Metadata = Sequence[tuple[str, str]]

RECEIVE_LIMIT_BYTES: Final = 64 * 1024 * 1024
"""Largest answer. gRPC's own 4 MiB is less than the 5 MB that one entity may have; 500 entities of 100 kB fit."""

_OPTIONS: Final = (
    # Measured: with the defaults the first call after an outage of 30 s came 14.3 s late, with these 0.4 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Despite its name the time that one attempt to connect may take. Measured: with 100 ms a host whose handshake takes
    # 0.3 s is reached at the fifth call, and one that takes 0.7 s (TCP and TLS across an ocean) never.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    # A connection that was cut in silence (Cloud Run does so after 10 min without traffic) is given up 5 s after the
    # first call on it: with keepalive on, gRPC bounds how long sent bytes may go unacknowledged. No pings while no call
    # is under way: servers take them for abuse and close the connection (too_many_pings).
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Retries are ours, under one budget with the hedges; two layers would multiply.
    ("grpc.enable_retries", 0),
    ("grpc.primary_user_agent", "keyscore"),
)

_MEANING: Final[Mapping[grpc.StatusCode, type[StoreError]]] = MappingProxyType(
    {
        grpc.StatusCode.UNAVAILABLE: StoreUnavailable,
        grpc.StatusCode.DEADLINE_EXCEEDED: StoreTimeout,
        grpc.StatusCode.RESOURCE_EXHAUSTED: StoreExhausted,
        grpc.StatusCode.UNAUTHENTICATED: StoreDenied,
        grpc.StatusCode.PERMISSION_DENIED: StoreDenied,
        grpc.StatusCode.INVALID_ARGUMENT: StoreAnswerInvalid,
        grpc.StatusCode.FAILED_PRECONDITION: StoreViewUnreadable,
        grpc.StatusCode.UNIMPLEMENTED: StoreViewUnreadable,
        grpc.StatusCode.DATA_LOSS: StoreAnswerInvalid,
        grpc.StatusCode.OUT_OF_RANGE: StoreAnswerInvalid,
    }
)
"""What is not listed (INTERNAL, UNKNOWN, ABORTED, CANCELLED…) is `StoreFailed`."""


class CallFailed(Exception):
    """A call ended with a status other than OK.

    Attributes:
        code: The status, `NOT_FOUND` for example.
        details: The store's own words, for an operator only.
    """

    def __init__(self, code: str, error: Callable[[], StoreError], details: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.details = details
        self._error = error

    @property
    def error(self) -> StoreError:
        """What it means; another one each time, since what is raised from this one must not be held by it."""
        return self._error()


class TokenSource(Protocol):
    """Who we are."""

    async def warm(self) -> None:
        """Gets the first token, so that no request waits for it."""
        ...

    async def token(self) -> str:
        """A token that is valid now; waits only when there is none."""
        ...


class VertexChannel:
    """A channel to one host, made inside the running loop, and the calls on it.

    Attributes:
        host: `host:port`.
    """

    __slots__ = ("_channel", "_streams", "_tokens", "_unaries", "host")

    def __init__(
        self, host: str, tokens: TokenSource | None, *, receive_limit_bytes: int = RECEIVE_LIMIT_BYTES
    ) -> None:
        """Opens nothing yet: gRPC connects at the first call.

        Args:
            host: `host:port`.
            tokens: Who we are; None for a plaintext connection without credentials, as to an emulator.
            receive_limit_bytes: The largest answer taken.
        """
        self.host = host
        self._tokens = tokens
        options = (*_OPTIONS, ("grpc.max_receive_message_length", receive_limit_bytes))
        if tokens is None:
            self._channel = grpc.aio.insecure_channel(host, options=options)
        else:
            self._channel = grpc.aio.secure_channel(host, grpc.ssl_channel_credentials(), options=options)
        self._unaries: dict[str, Callable[..., Any]] = {}
        self._streams: dict[str, Callable[..., Any]] = {}

    async def unary(self, method: str, request: bytes, feature_view: str, timeout_s: float) -> bytes:
        """The answer to one unary call, as bytes: a message that does not parse would reach us as None otherwise.

        Raises:
            CallFailed: Any status but OK.
        """
        if method not in self._unaries:
            self._unaries[method] = self._channel.unary_unary(method)
        call = self._unaries[method](request, timeout=timeout_s, metadata=await self._metadata(feature_view))
        answer: bytes = await _answered(call)
        return answer

    async def exchange(
        self, method: str, request: bytes, feature_view: str, timeout_s: float, take: Callable[[bytes], None]
    ) -> None:
        """Sends one message on a short stream of its own and hands every answer to `take`, to the stream's end.

        Raises:
            CallFailed: Any status but OK.
        """
        if method not in self._streams:
            self._streams[method] = self._channel.stream_stream(method)
        call = self._streams[method](timeout=timeout_s, metadata=await self._metadata(feature_view))
        await _answered(_converse(call, request, take))

    async def aclose(self) -> None:
        """Closes the channel; calls under way are cancelled."""
        await self._channel.close()

    async def _metadata(self, feature_view: str) -> Metadata:
        routing = ("x-goog-request-params", f"feature_view={feature_view}")
        if self._tokens is None:
            return (routing,)
        return (routing, ("authorization", f"Bearer {await self._tokens.token()}"))


def error_of_code(code: int, details: str = "") -> StoreError:
    """What a numeric status in a message means; `google.rpc.Status` uses gRPC's numbers."""
    found = next((status for status in grpc.StatusCode if status.value[0] == code), grpc.StatusCode.UNKNOWN)
    return _error(found, details)


async def _converse(call: Any, request: bytes, take: Callable[[bytes], None]) -> None:
    await call.write(request)
    # When the connection breaks at this moment gRPC raises an error of its own innards here and not, as `write` does,
    # the call's status; that comes when the answers are read.
    with suppress(grpc.aio.InternalError):
        await call.done_writing()
    async for answer in call:
        take(answer)


async def _answered(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        details = error.details() or ""
        raise CallFailed(error.code().name, partial(_error, error.code(), details, error), details) from error
    except grpc.aio.InternalError as error:
        raise CallFailed("INTERNAL", partial(StoreFailed, "gRPC failed")) from error


def _error(code: grpc.StatusCode, details: str, error: grpc.aio.AioRpcError | None = None) -> StoreError:
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return StoreAnswerTooLarge("the answer is larger than the receive limit")  # which is our own
    meaning = _MEANING.get(code, StoreFailed)
    if meaning is StoreExhausted:
        return StoreExhausted(f"the store answered {code.name}", retry_after_s=_pushback_s(error))
    return meaning(f"the store answered {code.name}")


def _pushback_s(error: grpc.aio.AioRpcError | None) -> float | None:
    """When the server wants to be asked again. Source: gRFC A6, `grpc-retry-pushback-ms`."""
    for name, value in (error.trailing_metadata() or ()) if error is not None else ():
        if name == "grpc-retry-pushback-ms":
            try:
                milliseconds = int(value)
            except ValueError:
                return None
            return milliseconds / 1000 if milliseconds >= 0 else None  # negative: do not ask again
    return None
