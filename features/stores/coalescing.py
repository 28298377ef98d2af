"""Coalescing: reads of one view that are asked for in the same turn of the event loop become one read.

Fifty requests that arrive together and miss the cache each want a few rows; a store answers one batch of them all in
the time of one. The batch goes out at the end of the turn, so nobody waits for company: no timer, no added wait.

    ask ─┐                         ┌─► read of at most 500 distinct keys ─┐
    ask ─┼─► batch of this turn ───┤                                      ├─► each ask gets its own keys
    ask ─┘   (one per view)        └─► another, side by side ─────────────┘
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

from features.deadline import Deadline
from features.errors import StoreError, StoreUnavailable
from features.spec import FeatureView
from features.stores.base import OnlineStore, ReadAnswer
from features.values import EntityKey

MAX_KEYS_PER_READ: Final = 500
"""The larger of the two batch sizes that Google's notebook on streaming reads tries (50 and 500)."""


class _Ask:
    """One caller's wish, and the reads that will fulfil it.

    Attributes:
        keys: The keys wanted.
        deadline: The caller's.
        answered: Resolves to the answers; cancelled when the caller goes away.
        reads: The reads that bring the keys; empty until the turn is over.
    """

    __slots__ = ("answered", "deadline", "keys", "reads")

    def __init__(self, keys: Sequence[EntityKey], deadline: Deadline) -> None:
        self.keys = keys
        self.deadline = deadline
        self.answered: asyncio.Future[Mapping[EntityKey, ReadAnswer]] = asyncio.get_running_loop().create_future()
        self.reads: list[_Read] = []


class _Read:
    """One read of the store for one or more asks."""

    __slots__ = ("asks", "keys", "task")

    def __init__(
        self, keys: Sequence[EntityKey], asks: list[_Ask], task: "asyncio.Task[Mapping[EntityKey, ReadAnswer]]"
    ) -> None:
        self.keys = keys
        self.asks = asks
        self.task = task


class CoalescingStore:
    """An `OnlineStore` that merges reads of another one."""

    __slots__ = ("_asked", "_max_keys_per_read", "_reads", "_store")

    def __init__(self, store: OnlineStore, *, max_keys_per_read: int = MAX_KEYS_PER_READ) -> None:
        """Merges reads of `store`, and splits what is larger than `max_keys_per_read`."""
        self._store = store
        self._max_keys_per_read = max_keys_per_read
        # By identity: hashing a view means hashing all its columns, and two views of the same name (an old bundle's
        # and a new one's) may want different columns.
        self._asked: dict[int, list[_Ask]] = {}
        self._reads: set[_Read] = set()

    def __repr__(self) -> str:
        return f"<CoalescingStore {len(self._reads)} reads under way, of {self._store!r}>"

    async def open(self) -> None:
        """See `OnlineStore.open`."""
        await self._store.open()

    async def read(
        self, view: FeatureView, keys: Sequence[EntityKey], deadline: Deadline
    ) -> Mapping[EntityKey, ReadAnswer]:
        """See `OnlineStore.read`.

        The store sees the latest deadline of those whose keys it reads; each of them watches its own. If some reads of
        a split batch fail, their keys are answered by the error and the others by their rows.
        """
        ask = _Ask(keys, deadline)
        asked = self._asked.get(id(view))
        if asked is None:
            asked = self._asked[id(view)] = []
            asyncio.get_running_loop().call_soon(self._flush, view, asked)
        asked.append(ask)
        try:
            return await ask.answered
        except asyncio.CancelledError:
            _leave(ask)
            raise
        finally:
            del ask, asked  # their error would hold them, by way of this frame

    async def aclose(self) -> None:
        """Ends what is under way, then closes the store."""
        for ask in chain.from_iterable(self._asked.values()):
            _fail(ask, _closed())
        self._asked.clear()
        tasks = [read.task for read in self._reads]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._store.aclose()

    def _flush(self, view: FeatureView, asked: list[_Ask]) -> None:
        """The turn is over: sends what was asked for in it."""
        if self._asked.get(id(view)) is not asked:
            return  # closed in the meantime
        del self._asked[id(view)]
        asks = [ask for ask in asked if not ask.answered.done()]  # not of those who have gone already
        distinct = list(dict.fromkeys(chain.from_iterable(ask.keys for ask in asks)))
        for start in range(0, len(distinct), self._max_keys_per_read):
            keys = distinct[start : start + self._max_keys_per_read]
            alone = len(asks) == 1 or len(keys) == len(distinct)
            self._send(view, keys, asks if alone else _concerned(asks, keys))

    def _send(self, view: FeatureView, keys: Sequence[EntityKey], asks: list[_Ask]) -> None:
        latest = max((ask.deadline for ask in asks), key=lambda deadline: deadline.at)
        read = _Read(keys, list(asks), asyncio.create_task(self._store.read(view, keys, latest)))
        for ask in asks:
            ask.reads.append(read)
        self._reads.add(read)
        read.task.add_done_callback(lambda _: self._arrive(read))

    def _arrive(self, read: _Read) -> None:
        self._reads.discard(read)
        if not read.task.cancelled():
            read.task.exception()  # taken note of: a read that everybody has left may fail in silence
        for ask in read.asks:
            if not ask.answered.done() and all(one.task.done() for one in ask.reads):
                _settle(ask)


def _concerned(asks: list[_Ask], keys: Sequence[EntityKey]) -> list[_Ask]:
    wanted = frozenset(keys)
    return [ask for ask in asks if not wanted.isdisjoint(ask.keys)]


def _leave(ask: _Ask) -> None:
    """One caller goes away; a read that nobody waits for any more is ended, any other goes on."""
    for read in ask.reads:
        read.asks.remove(ask)
        if not read.asks:
            read.task.cancel()


def _settle(ask: _Ask) -> None:
    """All its reads are done: puts the answers to the keys of `ask` together, or fails it if no read succeeded."""
    answers: dict[EntityKey, ReadAnswer] = {}
    failures: list[BaseException] = []
    for read in ask.reads:
        failure = _closed() if read.task.cancelled() else read.task.exception()
        if failure is None:
            answers.update(read.task.result())
            continue
        failures.append(failure)
        if isinstance(failure, StoreError):
            answers.update(dict.fromkeys(read.keys, failure))
    ours = [failure for failure in failures if not isinstance(failure, StoreError)]
    if ours or len(failures) == len(ask.reads):
        _fail(ask, (ours or failures)[0])  # a programming error of ours is nobody's outage
    else:
        ask.answered.set_result({key: answers[key] for key in ask.keys if key in answers})
    ask.reads.clear()  # they refer to it


def _fail(ask: _Ask, failure: BaseException) -> None:
    if not ask.answered.done():
        ask.answered.set_exception(failure)


def _closed() -> StoreUnavailable:
    return StoreUnavailable("the store was closed")
