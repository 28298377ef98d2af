"""The gRPC side: FeatureOnlineStoreService in v1 and v1beta1. The emulator's one door to grpc."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Final, NoReturn

import grpc

from features.emulator.calls import Calls, Line
from features.emulator.codes import Refused
from features.emulator.fault_rules import DIRECT_WRITE, FETCH, STREAMING_FETCH
from features.emulator.reads import Reads
from features.emulator.routing import HEADER, Routing, read_routing
from features.stores.vertex_messages import V1, V1BETA1, DirectWriteRequest, FetchRequest, StreamingRequest

_OPTIONS: Final = [
    ("grpc.so_reuseport", 0),  # a second emulator on the port is an error
    ("grpc.max_receive_message_length", -1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),  # clients that keep connections alive are welcome
    ("grpc.keepalive_permit_without_calls", 1),
]

_OF_A_CALL: Final = frozenset({"_handle_exceptions", "_schedule_rpc_coro"})
_ENDING_S: Final = 1.0
_LAST_EVENTS_S: Final = 0.01

_Answering = Callable[[Any, Line | None], Awaitable[list[bytes]]]


class GrpcServer:
    """Listens on a port of the loopback interface that the system chooses.

    Args:
        calls: Answers the calls.
        line: The connection of a peer, in gRPC's spelling.
        strict_routing: Refuse calls without a routing header too.
    """

    __slots__ = ("_calls", "_line", "_server", "_strict_routing", "port")

    def __init__(self, calls: Calls, line: Callable[[str], Line | None], *, strict_routing: bool) -> None:
        self.port = 0
        self._calls = calls
        self._line = line
        self._strict_routing = strict_routing
        self._server: grpc.aio.Server

    async def start(self) -> None:
        """Serves from here on."""
        self._server = grpc.aio.server(options=_OPTIONS)
        fetch = grpc.unary_unary_rpc_method_handler(self._fetch, FetchRequest.FromString)
        stream = grpc.stream_stream_rpc_method_handler(self._stream, StreamingRequest.FromString)
        write = grpc.stream_stream_rpc_method_handler(self._write, DirectWriteRequest.FromString)
        for service, methods in (
            (V1, {FETCH: fetch, DIRECT_WRITE: write}),
            (V1BETA1, {FETCH: fetch, STREAMING_FETCH: stream, DIRECT_WRITE: write}),
        ):
            handler = grpc.method_handlers_generic_handler(service.strip("/"), methods)
            self._server.add_generic_rpc_handlers((handler,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()

    async def stop(self) -> None:
        """Cancels the calls under way and serves no more."""
        await self._server.stop(None)
        # grpc waits neither for the tasks of its last calls nor for the last events of calls that were cut off. Whoever
        # runs the next loop in this process would get them, as errors. The first wait is bounded, for another server
        # in this loop has such tasks, too; the second has nothing to wait for.
        ending = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") in _OF_A_CALL]
        if ending:
            await asyncio.wait(ending, timeout=_ENDING_S)
        await asyncio.sleep(_LAST_EVENTS_S)

    async def _fetch(self, request: Any, context: Any) -> bytes:
        try:
            self._check_routing(context, request.feature_view)
            return await self._calls.fetch(request, self._line(context.peer()))
        except Refused as refusal:
            await _abort(context, refusal)

    async def _stream(self, requests: AsyncIterable[Any], context: Any) -> None:
        await self._answer_all(requests, context, self._calls.fetch_many)

    async def _write(self, requests: AsyncIterable[Any], context: Any) -> None:
        await self._answer_all(requests, context, self._calls.write)

    async def _answer_all(self, requests: AsyncIterable[Any], context: Any, answering: _Answering) -> None:
        """Answers each message as soon as it can be; a slow one holds up no other."""
        line = self._line(context.peer())
        writing = asyncio.Lock()
        checked = gone = False

        async def answer(request: Any) -> None:
            nonlocal gone
            messages = await answering(request, line)
            async with writing:
                for message in messages:
                    if gone:
                        return
                    try:
                        await context.write(message)
                    except grpc.aio.BaseError:  # all that grpc says when the client has gone away
                        gone = True

        refusal: Refused | None = None
        try:
            async with asyncio.TaskGroup() as group:
                async for request in requests:
                    if not checked:  # once per call: its headers are the same for every message
                        self._check_routing(context, request.feature_view)
                        checked = True
                    group.create_task(answer(request))
        except* Refused as refusals:
            refusal = _first(refusals)
        if gone:
            raise asyncio.CancelledError  # which is how grpc's handlers end then
        if refusal is not None:
            await _abort(context, refusal)

    def _check_routing(self, context: Any, feature_view: str) -> None:
        header = next((value for name, value in context.invocation_metadata() or () if name == HEADER), None)
        routing = read_routing(header, feature_view)
        if routing is Routing.RIGHT:
            return
        reads: Reads = self._calls.reads
        if routing is Routing.WRONG:
            reads.routing_wrong += 1
            raise Refused("INVALID_ARGUMENT", f"The header {HEADER} names another resource than the request.")
        reads.routing_empty += 1
        if self._strict_routing:
            raise Refused("INVALID_ARGUMENT", f"The header {HEADER} must be feature_view=<the view's full name>.")


def _first(refusals: BaseExceptionGroup[Refused]) -> Refused:
    first: BaseException = refusals
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, Refused)  # noqa: S101  # the group holds nothing else
    return first


async def _abort(context: Any, refusal: Refused) -> NoReturn:
    metadata = () if refusal.pushback_ms is None else (("grpc-retry-pushback-ms", str(refusal.pushback_ms)),)
    await context.abort(grpc.StatusCode[refusal.code], refusal.message, metadata)
    raise AssertionError("abort has raised")  # which grpc does not declare
