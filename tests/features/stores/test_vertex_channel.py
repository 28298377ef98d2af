"""What a call's end means, also where gRPC does not say it as usual."""

from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from features.errors import StoreFailed, StoreUnavailable
from features.stores.vertex_channel import CallFailed, _answered, _converse

pytestmark = pytest.mark.anyio


class Breaking:
    """A stream whose connection breaks between its request and the end of it, as grpc.aio 1.85 tells of that."""

    def __init__(self, *, status: grpc.StatusCode | None) -> None:
        self._status = status

    async def write(self, request: bytes) -> None:
        """Is sent."""

    async def done_writing(self) -> None:
        raise grpc.aio.InternalError("Failed grpc_call_start_batch")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"one"
        if self._status is not None:
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(self._status, nothing, nothing, "Socket closed")


async def test_a_connection_that_breaks_while_the_request_ends_has_the_status_of_the_call() -> None:
    with pytest.raises(CallFailed) as failed:
        await _answered(_converse(Breaking(status=grpc.StatusCode.UNAVAILABLE), b"", [].append))
    assert isinstance(failed.value.error, StoreUnavailable)


async def test_answers_that_came_before_it_broke_are_kept() -> None:
    taken: list[bytes] = []
    await _answered(_converse(Breaking(status=None), b"", taken.append))
    assert taken == [b"one"]


async def test_a_failure_inside_grpc_is_a_failure_of_the_store_and_not_a_mistake_of_ours() -> None:
    async def fails() -> None:
        raise grpc.aio.InternalError("Failed grpc_call_start_batch")

    with pytest.raises(CallFailed) as failed:
        await _answered(fails())
    assert isinstance(failed.value.error, StoreFailed)
