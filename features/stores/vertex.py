"""Vertex AI Feature Store (Bigtable online serving), over raw grpc.aio.

Two ways to read, and `auto` chooses: one key by a unary v1 call; several by one short v1beta1 stream per batch, with
its own deadline and routing header (a stream shared by batches would let one slow batch hold up the others). A host
that does not know the streaming call is asked for keys one by one for a while, a bounded number at a time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from features.deadline import Deadline
from features.errors import (
    DeadlineExceeded,
    StoreAnswerInvalid,
    StoreAnswerTooLarge,
    StoreDenied,
    StoreError,
    StoreTimeout,
    StoreViewUnreadable,
)
from features.spec import FeatureView
from features.stores.base import Decode, ReadAnswer, ReadMode
from features.stores.vertex_admin import ViewWatch, address_of_view
from features.stores.vertex_answers import check_status, decode_stream, decode_unaries
from features.stores.vertex_channel import RECEIVE_LIMIT_BYTES, CallFailed, TokenSource, VertexChannel
from features.stores.vertex_decoding import decode_message, encode_data_key
from features.stores.vertex_messages import (
    KEY_VALUE,
    V1,
    V1BETA1,
    FetchRequest,
    StreamingRequest,
)
from features.stores.vertex_names import FORM, parse_view_name, regional_host
from features.stores.vertex_rows import RowDecoder
from features.turns import Turns
from features.values import EntityKey

log = logging.getLogger("keyscore")

_FETCH: Final = V1 + "FetchFeatureValues"
_STREAMING_FETCH: Final = V1BETA1 + "StreamingFetchFeatureValues"
_UNARY_AT_ONCE: Final = 64
"""Unary reads under way at once per host: more only queue in one HTTP/2 connection (100 streams)."""
_KEYS_AT_ONCE: Final = 512
"""Keys named in one go, 0.2 ms; to wait for turns in between would be taken for the store's time."""
_ASK_AGAIN_S: Final = 60.0
"""After UNIMPLEMENTED; a balancer's passing 404 reaches us as that, too."""

_Decoding = Callable[[Turns, Deadline], Awaitable[Mapping[EntityKey, ReadAnswer]]]


class VertexStore:
    """Reads feature views of Vertex AI Feature Store; one channel per host."""

    def __init__(
        self,
        views: Iterable[FeatureView],
        tokens: TokenSource | None,
        *,
        endpoint: str | None = None,
        rest_endpoint: str | None = None,
        mode: ReadMode = ReadMode.AUTO,
        receive_limit_bytes: int = RECEIVE_LIMIT_BYTES,
        turns: Turns | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            views: The views to read; each needs a `source`.
            tokens: Who we are; None for plaintext without credentials, as to an emulator.
            endpoint: host:port in place of the regional hosts.
            rest_endpoint: host:port in place of the regional hosts, where views are looked up.
            mode: How to read several keys.
            receive_limit_bytes: The largest answer taken.
            turns: Where long work waits for its turn; its own if it shares them with nobody.

        Raises:
            StoreAnswerInvalid: A view has no `source`, or one that is not a feature view's resource name.
        """
        self._regions = {view.name: region_of(view) for view in views}
        self._sources = {view.name: view.source or "" for view in views}
        self._decoders: dict[str, RowDecoder] = {}
        self._tokens = tokens
        self._endpoint = endpoint
        self._mode = mode
        self._receive_limit_bytes = receive_limit_bytes
        self._turns = turns or Turns()
        self._channels: dict[str, VertexChannel] = {}
        self._no_streaming: dict[str, float] = {}  # by host, until when
        self._places: dict[str, asyncio.Semaphore] = {}
        address = partial(address_of_view, endpoint=endpoint, rest_endpoint=rest_endpoint, plaintext=tokens is None)
        addresses = {view: address(source, self._regions[view]) for view, source in self._sources.items()}
        self._watch = ViewWatch(addresses, tokens)

    def __repr__(self) -> str:
        return f"<VertexStore {', '.join(self._channels) or 'closed'}>"

    async def open(self) -> None:
        """See `OnlineStore.open`: credentials are warmed and every view is looked up, side by side.

        A store that does not answer is no reason not to start: it may answer by the time a request comes.

        Raises:
            StoreDenied: There are no credentials.
            StoreViewUnreadable: A view does not exist.
        """
        if self._tokens is not None:
            await self._tokens.warm()
        for region in set(self._regions.values()):
            host = self._host(region)
            if host not in self._channels:
                self._channels[host] = VertexChannel(host, self._tokens, receive_limit_bytes=self._receive_limit_bytes)
                self._places[host] = asyncio.Semaphore(_UNARY_AT_ONCE)
        for view in await self._watch.open():
            raise StoreViewUnreadable(f"the feature view {self._sources[view]} does not exist; see `keyscore view`")

    async def read(
        self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline
    ) -> Mapping[EntityKey, ReadAnswer]:
        """See `OnlineStore.read`."""
        decode = await self.ask(view, keys, deadline)
        return await decode()

    async def ask(self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline) -> Decode:
        """See `RemoteStore.ask`."""
        if self._watch.is_missing(view.name, deadline.clock.monotonic()):
            raise StoreViewUnreadable("the feature view does not exist")
        channel = self._channels[self._host(self._regions[view.name])]
        decoding = await self._ask(channel, view, keys, deadline)

        async def decode() -> Mapping[EntityKey, ReadAnswer]:
            try:
                answers = await decoding(self._turns, deadline)
            except DeadlineExceeded as error:
                raise StoreTimeout(f"rows of {view.name} came too late to be decoded") from error
            self._watch.note(view.name, answers, deadline.clock.monotonic())
            return answers

        return decode

    async def aclose(self) -> None:
        """See `OnlineStore.aclose`."""
        await self._watch.aclose()
        await asyncio.gather(*(channel.aclose() for channel in self._channels.values()))
        self._channels.clear()

    async def _ask(
        self, channel: VertexChannel, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline
    ) -> _Decoding:
        streaming = self._mode is ReadMode.STREAMING or (self._mode is ReadMode.AUTO and len(keys) > 1)
        if streaming and deadline.clock.monotonic() >= self._no_streaming.get(channel.host, 0.0):
            try:
                return await self._stream(channel, view, keys, deadline)
            except CallFailed as failed:
                if failed.code == "NOT_FOUND":  # of all of them
                    return partial(decode_unaries, dict.fromkeys(keys), self._decoder(view))
                if self._mode is ReadMode.STREAMING:
                    raise failed.error from failed
                if failed.code == "UNIMPLEMENTED":
                    log.warning("%s does not know StreamingFetchFeatureValues; reading keys one by one", channel.host)
                    self._no_streaming[channel.host] = deadline.clock.monotonic() + _ASK_AGAIN_S
                elif not isinstance(failed.error, StoreAnswerTooLarge):
                    raise failed.error from failed
            except StoreAnswerInvalid:
                if self._mode is ReadMode.STREAMING:
                    raise
            # What one key spoils, or all together make too large, is read apart.
        sent = await asyncio.gather(*(self._fetch(channel, view, key, deadline) for key in keys))
        failures = [one for one in sent if isinstance(one, StoreError)]
        outages = [failure for failure in failures if not isinstance(failure, StoreAnswerInvalid)]
        if outages and len(failures) == len(keys):
            try:
                raise outages[0]  # the whole read failed: who retries and who throttles must hear of it
            finally:
                del sent, failures, outages  # it would hold them, by way of this frame
        return partial(decode_unaries, dict(zip(keys, sent, strict=True)), self._decoder(view))

    async def _fetch(
        self, channel: VertexChannel, view: FeatureView, key: EntityKey, deadline: Deadline
    ) -> bytes | StoreError | None:
        source = self._sources[view.name]
        request = FetchRequest(feature_view=source, data_key=encode_data_key(key), data_format=KEY_VALUE)
        async with self._places[channel.host]:
            try:
                return await channel.unary(_FETCH, request.SerializeToString(), source, deadline.remaining_s)
            except CallFailed as failed:
                return None if failed.code == "NOT_FOUND" else failed.error
            except StoreDenied as denied:  # no token
                return denied

    async def _stream(
        self, channel: VertexChannel, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline
    ) -> _Decoding:
        source = self._sources[view.name]
        request = StreamingRequest(feature_view=source, data_format=KEY_VALUE)

        def name(start: int, stop: int) -> None:
            request.data_keys.extend([encode_data_key(key) for key in keys[start:stop]])

        await self._turns.over(len(keys), name, at_once=_KEYS_AT_ONCE)
        received: list[bytes] = []
        sent = request.SerializeToString()
        await channel.exchange(_STREAMING_FETCH, sent, source, deadline.remaining_s, received.append)
        messages: list[Any] = []

        def read(start: int, stop: int) -> None:
            messages.extend(map(decode_message, received[start:stop]))

        await self._turns.over(len(received), read, at_once=1)
        for message in messages:
            check_status(message)
        return partial(decode_stream, messages, keys, self._decoder(view))

    def _decoder(self, view: FeatureView) -> RowDecoder:
        known = self._decoders.get(view.name)
        if known is None or known.layout is not view.layout:  # it is for the reader to say which columns are wanted
            known = self._decoders[view.name] = RowDecoder(view.layout)
        return known

    def _host(self, region: str) -> str:
        return self._endpoint or f"{regional_host(region)}:443"


def region_of(view: FeatureView) -> str:
    """The location in the view's `source`.

    Raises:
        StoreAnswerInvalid: It has none, or one that is not a feature view's resource name.
    """
    found = parse_view_name(view.source or "")
    if found is None:
        raise StoreAnswerInvalid(
            f"view {view.name!r} needs `source: {FORM}` in serving.yaml (without one, KEYSCORE_VIEW takes that name)"
        )
    return found.location
