"""What was asked for, and whether files and options allow it: what can be said before a model is loaded."""

import math
import stat
from dataclasses import dataclass
from pathlib import Path

from service.errors import JobRefused
from service.offline.formats import STREAM, InputFormat, OnError, OutputFormat
from service.offline.inputs import check_input
from service.offline.parts import Parts
from service.offline.sinks import PART_ROWS


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for.

    Attributes:
        input: The file, or stdin.
        output: The file, or stdout.
        input_format: What the one is written in.
        output_format: What the other shall be written in.
        detailed: Whether the whole story of each prediction is wanted.
        extra: Whether undeclared columns and members are let through.
        on_error: What to do about a row that has no score.
        errors: The error file; beside the output if not given.
        resume: Whether to go on with a job that was begun.
        overwrite: Whether an output, and a job that was begun, may be replaced.
        max_reads_per_s: Keys to read from the store per second.
        threads: Threads for CatBoost.
        part_rows: Rows in a part.
    """

    input: Path
    output: Path
    input_format: InputFormat
    output_format: OutputFormat
    detailed: bool = False
    extra: bool = False
    on_error: OnError = OnError.FAIL
    errors: Path | None = None
    resume: bool = False
    overwrite: bool = False
    max_reads_per_s: float | None = None
    threads: int = 1
    part_rows: int = PART_ROWS

    @property
    def streams(self) -> bool:
        """Whether the output is a pipe, a terminal or a device: never replaced, and written to as rows come."""
        return self.output == STREAM or (self.output.exists() and not stat.S_ISREG(self.output.stat().st_mode))

    @property
    def error_file(self) -> Path | None:
        """Where rows without a score are told of."""
        if self.errors is not None or self.streams:
            return self.errors
        return self.output.with_name(f"{self.output.name}.errors.jsonl")

    @property
    def parts(self) -> Path:
        """Where finished parts are."""
        return self.output.with_name(f"{self.output.name}.parts")


def check(request: Request) -> None:
    """Says what can be said before a model is loaded.

    Raises:
        JobRefused: Files or options do not allow the job.
        TableError: There is nothing to read.
    """
    check_input(request.input, request.input_format)
    if request.max_reads_per_s is not None and not math.isfinite(request.max_reads_per_s):
        raise JobRefused(f"--max-reads-per-s must be a number of keys, not {request.max_reads_per_s}")
    if request.output != STREAM and request.output.is_dir():
        raise JobRefused(f"{request.output} is a directory: name a file in it")
    if request.error_file is not None:
        _check_error_file(request.error_file, request)
    if request.streams:
        _check_stream(request)
    else:
        _check_files(request)


def _check_files(request: Request) -> None:
    if not request.output.parent.is_dir():
        raise JobRefused(f"{request.output.parent} is not a directory: make it first")
    if request.input != STREAM and request.output.exists() and request.output.samefile(request.input):
        raise JobRefused(f"{request.output} is the input: name another output")
    if request.resume and request.input == STREAM:
        raise JobRefused("what came from stdin cannot be read again, so the job cannot be resumed: name a file")
    begun = Parts(request.parts).begun
    if begun and not (request.resume or request.overwrite):
        raise JobRefused(f"{request.parts} holds a job that was begun: --resume goes on, --overwrite begins anew")
    complete = (request.parts / "complete").exists()
    for path in (request.output, request.error_file):
        if path is not None and path.exists() and not (request.overwrite or complete):
            nothing = ", and there is nothing to resume" if request.resume and not begun else ""
            raise JobRefused(f"{path} exists already{nothing}; --overwrite replaces it")


def _check_error_file(path: Path, request: Request) -> None:
    """Says whether an error file would be put in the place of something else; at the end that would be too late."""
    if path.exists() and not path.is_file():
        if path.is_dir() or not request.streams:
            raise JobRefused(f"{path} is no file that could be replaced: name another error file")
        return
    if not path.parent.is_dir() and path.parent != request.output.parent:
        raise JobRefused(f"{path.parent} is not a directory: make it first")
    for other, what in ((request.input, "input"), (request.output, "output")):
        if other != STREAM and path.resolve() == other.resolve():
            raise JobRefused(f"{path} is the {what}: name another error file")


def _check_stream(request: Request) -> None:
    name = "stdout" if request.output == STREAM else str(request.output)
    if request.output_format is OutputFormat.PARQUET:
        raise JobRefused(f"a Parquet file is whole only when its end is written, so {name} cannot take it: name a file")
    if request.resume:
        raise JobRefused(f"what went to {name} cannot be taken up again: name a file to be able to resume")
    if request.on_error is not OnError.FAIL and request.errors is None:
        raise JobRefused(f"with {name} as output, say with --errors FILE where failed rows are told of")
    if request.errors is not None and request.errors.is_file() and not request.overwrite:
        raise JobRefused(f"{request.errors} exists already; --overwrite replaces it")
