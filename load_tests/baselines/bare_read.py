"""`python -m load_tests.baselines.bare_read PORT VIEW`: single keys read by a bare grpc.aio client, timed when asked.

The store's own latency as a caller on the service's core meets it: the same call, with the same routing header, and the
answer left as the bytes it is. A list of keys on standard input is answered by the seconds of their reads.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Final

import grpc.aio
import uvloop

from load_tests.benchmark.companion import answer_lines

_METHOD: Final = "/google.cloud.aiplatform.v1.FeatureOnlineStoreService/FetchFeatureValues"
_TIMEOUT_S: Final = 5.0
_KEY_VALUE: Final = b"\x38\x01"  # field 7, data_format: 1


class BareClient:
    """Reads one key after the other.

    Args:
        port: Of the emulator's gRPC.
        feature_view: Full name of the view.
    """

    def __init__(self, port: int, feature_view: str) -> None:
        self._view = feature_view
        self._metadata = (("x-goog-request-params", f"feature_view={feature_view}"),)
        self._call = grpc.aio.insecure_channel(f"127.0.0.1:{port}").unary_unary(_METHOD)

    async def times(self, keys: Sequence[str]) -> list[float]:
        """Seconds of each read."""
        return [await self._time(fetch_request(self._view, key)) for key in keys]

    async def _time(self, request: bytes) -> float:
        began = time.perf_counter()
        await self._call(request, timeout=_TIMEOUT_S, metadata=self._metadata)
        return time.perf_counter() - began


def fetch_request(feature_view: str, key: str) -> bytes:
    """A `FetchFeatureValuesRequest` as it goes over the wire: the view, and a data key that is a text.

    Source: google/cloud/aiplatform/v1/feature_online_store_service.proto, fields 1, 6 and 7.
    """
    return _field(1, feature_view.encode()) + _field(6, _field(1, key.encode())) + _KEY_VALUE


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field; names and keys are shorter than the 128 bytes that one byte of length can tell."""
    return bytes([number << 3 | 2, len(payload)]) + payload


def main() -> None:
    """See the module."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def connect() -> BareClient:
            return BareClient(int(sys.argv[1]), sys.argv[2])

        client = runner.run(connect())
        answer_lines(lambda keys: runner.run(client.times(keys)))


if __name__ == "__main__":
    main()
