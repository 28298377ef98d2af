"""A job: reads, scores and writes chunk by chunk, each of the three while the others are at the next or the last one.

    reader's thread: chunk n+2 ─► event loop and its threads: chunks n+1 and n ─► writer's thread: chunk n-1

Two chunks are scored side by side, so that one may wait for the store, or for the interpreter, while CatBoost has the
other. Memory is that of the few chunks under way, whatever the length of the file.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from typing import Any, Final, TypeVar

import pyarrow as pa

from features.errors import FeaturesError, FeatureUnread
from model.errors import ModelError
from service.errors import JobStopped
from service.offline.chunks import Chunk, Source
from service.offline.formats import OnError
from service.offline.outcomes import Outcome, error_lines, nothing_scored, outcome_of, problem_of
from service.offline.scoring import OfflineScoring
from service.offline.sinks import Sink
from service.offline.streams import Wake
from service.offline.totals import Totals

_AT_ONCE: Final = 2

_T = TypeVar("_T")

Encode = Callable[[Outcome], Any]
Progress = Callable[[int, float | None], None]
"""Told how many rows of the input are done and which share of it that is, if that is known."""


class Job:
    """Predictions for an input."""

    __slots__ = ("_chunks", "_encode", "_on_error", "_progress", "_scoring", "_sink", "_source", "_wake", "totals")

    def __init__(
        self,
        source: Source,
        chunks: Iterator[Chunk],
        scoring: OfflineScoring,
        encode: Encode,
        sink: Sink,
        *,
        on_error: OnError,
        done: Totals,
        progress: Progress,
        wake: Wake,
    ) -> None:
        """Puts a job together.

        Args:
            source: The input.
            chunks: Its rows, but for those that are done.
            scoring: What scores them.
            encode: What the output says of a chunk.
            sink: Takes that.
            on_error: What to do about a row that has no score.
            done: What was done before.
            progress: Told of every chunk.
            wake: Ends a read that nobody waits for.
        """
        self._source = source
        self._chunks = chunks
        self._scoring = scoring
        self._encode = encode
        self._sink = sink
        self._on_error = on_error
        self._progress = progress
        self._wake = wake
        self.totals = done

    async def run(self) -> None:
        """The output is whole, and `totals` says what was done.

        Raises:
            TableError: The input cannot be read to its end, or holds no row.
            JobStopped: A row has no score and may not be without, it or the output cannot be written, or the model
                refuses.
            FeaturesError: The store cannot be read.
        """
        reader, writer = ThreadPoolExecutor(1, "read"), ThreadPoolExecutor(1, "write")
        try:
            await self._run(reader, writer)
        except ModelError as error:
            raise JobStopped(f"the model cannot score these rows: {error}") from error
        finally:
            self._wake.call()
            reader.shutdown(cancel_futures=True)
            writer.shutdown(cancel_futures=True)
            self._sink.close()

    async def _run(self, reader: ThreadPoolExecutor, writer: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        writing: asyncio.Future[None] = loop.create_future()
        writing.set_result(None)
        async with aclosing(self._outcomes(reader)) as outcomes:
            async for outcome in outcomes:
                if outcome.failures and self._on_error is OnError.FAIL:
                    raise JobStopped(self._failure(outcome))
                await writing
                totals = Totals.of(outcome, self._scoring.counts.oldest_age_s)
                writing = _heard(loop.run_in_executor(writer, self._write, outcome, totals))
                self.totals.add(totals)
                self._progress(self.totals.rows, outcome.chunk.share)
        await writing
        if not self.totals.rows:
            raise JobStopped(f"{self._source.name} holds no rows")
        await loop.run_in_executor(writer, self._sink.finish)

    async def _outcomes(self, reader: ThreadPoolExecutor) -> AsyncGenerator[Outcome, None]:
        """What becomes of each chunk, in order."""
        under_way: deque[asyncio.Task[Outcome]] = deque()
        first = self.totals.rows
        try:
            upcoming = self._next(reader)
            while (chunk := await upcoming) is not None:
                upcoming = self._next(reader)
                under_way.append(asyncio.create_task(self._outcome(chunk, first)))
                first += chunk.request.size
                if len(under_way) >= _AT_ONCE:
                    yield await under_way.popleft()
            while under_way:
                yield await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
            for task in under_way:
                with suppress(asyncio.CancelledError, FeaturesError, ModelError):
                    await task

    def _next(self, reader: ThreadPoolExecutor) -> asyncio.Future[Chunk | None]:
        return _heard(asyncio.get_running_loop().run_in_executor(reader, next, self._chunks, None))

    async def _outcome(self, chunk: Chunk, first: int) -> Outcome:
        instances = chunk.request.instances
        scored = await self._scoring.score(instances) if len(instances) else nothing_scored(chunk, self._scoring.bundle)
        return outcome_of(chunk, scored, first)

    def _write(self, outcome: Outcome, totals: Totals) -> None:
        try:
            errors = error_lines(outcome, self._source.unit, self._scoring.bundle) if outcome.failures else b""
            self._sink.write(self._encode(outcome), errors, totals)
        except (pa.ArrowException, ValueError) as error:
            where = f"{self._source.name}: {self._source.unit} {outcome.chunk.places[0]} or one soon behind it"
            reason = str(error).partition("\n")[0]
            hint = "leave its column out, or choose another output format"
            raise JobStopped(f"{where} holds what cannot be written ({reason}); {hint}") from error

    def _failure(self, outcome: Outcome) -> str:
        """The first row without a score, where it is, and why."""
        at = min(outcome.failures)
        document = problem_of(outcome, at, self._scoring.bundle)
        error = outcome.failures[at]
        detail = f"{error}: {error.cause}" if isinstance(error, FeatureUnread) else document["detail"]
        hint = f"; {document['hint']}" if "hint" in document else ""
        where = f"{self._source.name}: {self._source.unit} {outcome.chunk.places[at]}"
        return f"{where}: {detail}{hint} (--on-error null or skip goes on behind such rows)"


def _heard(future: asyncio.Future[_T]) -> asyncio.Future[_T]:
    """The same; where a job stops before it has come to this, asyncio does not complain that nobody asked."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
