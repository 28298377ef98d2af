"""From what was asked for to a job that runs: input, engine, encoding and output put together.

Request (checked before anything is loaded) ─► engine ─► parts to resume from ─► Job
"""

import asyncio
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final

from features.clock import SystemClock
from features.spec import Spec
from service.bundle import Bundle
from service.errors import JobStopped, TableError
from service.offline.arrow import forget_pandas
from service.offline.chunks import CHUNK_ROWS, Chunk
from service.offline.formats import STREAM, OnError, OutputFormat
from service.offline.inputs import fingerprint, source_of
from service.offline.job import Encode, Job, Progress
from service.offline.json_rows import JsonRows
from service.offline.parts import Identity, Parts
from service.offline.requests import Request, check
from service.offline.scoring import OfflineScoring
from service.offline.sinks import Destination, PartsSink, Sink, StreamSink
from service.offline.streams import Wake
from service.offline.table_rows import TableRows
from service.offline.totals import Totals
from service.offline.wiring import offline_scoring
from service.parameters import usual_parameters
from service.settings import Platform, Settings

_CHUNK_ROWS_IN_DETAIL: Final = 4_096
"""The whole story of an instance takes a few kilobytes."""

_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")


@dataclass(slots=True)
class Running:
    """How far a job has come.

    Attributes:
        totals: What has been done, by earlier processes too.
        done: Rows that those have done.
        keys_read: Keys that this one has read from the store.
        placed: Whether the output is whole and in its place.
    """

    totals: Totals = field(default_factory=Totals)
    done: int = 0
    keys_read: int = 0
    placed: bool = False


async def run(request: Request, settings: Settings, platform: Platform, progress: Progress, running: Running) -> None:
    """The output is there, and `running` says what was done.

    Args:
        request: What was asked for; `check` has nothing against it.
        settings: Which bundle and store.
        platform: Where this runs.
        progress: Told of every chunk.
        running: Kept up to date.

    Raises:
        ServiceError: It cannot be done, or not to its end.
        FeaturesError: The store cannot be read.
    """
    forget_pandas()
    engine = offline_scoring(settings, platform, max_reads_per_s=request.max_reads_per_s, threads=request.threads)
    with closing(Wake()) as wake, _on_disk(request):
        async with engine as scoring:
            with _sink(request, settings, scoring.bundle) as (sink, done):
                running.done, running.totals = done.rows, done
                try:
                    job = await asyncio.to_thread(_job, request, scoring, sink, done=done, progress=progress, wake=wake)
                    await job.run()
                finally:
                    wake.call()
                    running.placed = sink.placed
                    running.keys_read = scoring.counts.keys_read


@contextmanager
def _on_disk(request: Request) -> Iterator[None]:
    """What the job's own directory is in want of is told of like anything else."""
    try:
        yield
    except OSError as error:
        raise JobStopped(f"{request.parts} cannot be used: {error.strerror or error}") from error


def _job(request: Request, scoring: OfflineScoring, sink: Sink, *, done: Totals, progress: Progress, wake: Wake) -> Job:
    """The job, its input opened and its output begun; both may take their time."""
    source = source_of(
        request.input,
        request.input_format,
        scoring.bundle.spec,
        extra=request.extra,
        wake=wake,
        output=request.output_format,
        chunk_rows=min(_CHUNK_ROWS_IN_DETAIL if request.detailed else CHUNK_ROWS, request.part_rows),
    )
    before = fingerprint(request.input) if request.input.is_file() else None
    schema, chunks = source.read(done.rows)
    if before is not None:
        chunks = _of_one_file(request.input, before, chunks)
    encode, arrow = _encode(request, scoring.bundle, schema)
    sink.begin(arrow)
    return Job(
        source, chunks, scoring, encode, sink, on_error=request.on_error, done=done, progress=progress, wake=wake
    )


def _of_one_file(path: Path, before: Mapping[str, Any], chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The chunks of a file that nobody has written to by the time they have been read."""
    yield from chunks
    if fingerprint(path) != before:
        raise TableError(
            f"{path} was changed while it was read, so nobody knows whose predictions these are; "
            "begin anew with --overwrite when nobody writes to it"
        )


def _encode(request: Request, bundle: Bundle, schema: Any) -> tuple[Encode, Any]:
    skip = request.on_error is OnError.SKIP
    if request.output_format is OutputFormat.JSONL:
        return JsonRows(bundle, detailed=request.detailed, skip=skip), None
    table = TableRows(bundle, schema, detailed=request.detailed, skip=skip)
    return table, table.schema


@contextmanager
def _sink(request: Request, settings: Settings, bundle: Bundle) -> Iterator[tuple[Sink, Totals]]:
    """Where the predictions go, and what is there already."""
    destination = Destination(request.output, request.error_file, request.output_format)
    if request.streams:
        with _stream(request.output) as file:
            yield StreamSink(file, destination), Totals()
        return
    parts = Parts(request.parts)
    with parts.held():
        check(request)  # again: another process may have been at work while the model was loaded
        identity = _identity(request, settings, bundle.digest, bundle.spec)
        if request.resume and parts.begun:
            parts.resume(identity)
        else:
            parts.begin(identity)
        done = Totals()
        for part in parts.finished:
            done.add(part)
        try:
            yield PartsSink(parts, destination, SystemClock(), request.part_rows), done
        finally:
            if request.input == STREAM:  # what cannot be resumed need not be kept
                parts.clear()


@contextmanager
def _stream(path: Path) -> Iterator[BinaryIO]:
    """A stream of our own: what nobody takes is not tried again when the process ends."""
    file = os.fdopen(os.dup(sys.stdout.fileno()), "wb") if path == STREAM else path.open("wb")
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()


def _identity(request: Request, settings: Settings, digest: str, spec: Spec) -> Identity:
    """What must not change between a job's beginning and its end."""
    serving = _ADDRESS.sub("", repr(spec))  # functions are named in it, and where in memory they are does not matter
    store = str(settings.sqlite_path.resolve()) if settings.store == "sqlite" else settings.vertex_endpoint
    return {
        "keyscore": version("keyscore"),
        "input": {"format": request.input_format, **({} if request.input == STREAM else fingerprint(request.input))},
        "bundle": {"digest": digest, "spec": hashlib.sha256(serving.encode()).hexdigest()[:16]},
        "store": {"kind": settings.store, "where": store},
        "options": {
            "output format": request.output_format,
            "detailed": request.detailed,
            "extra": "ignore" if request.extra else "refuse",
            "on_error": request.on_error,
            "max_age_s": usual_parameters(settings.parameters).max_age_s,
        },
    }


def default_threads() -> int:
    """Threads for CatBoost where nobody says: all cores but the one that reads and writes."""
    return max(1, (os.cpu_count() or 1) - 1)
