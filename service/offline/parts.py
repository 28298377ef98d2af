"""The finished parts of a job, in a directory beside its output, so that a job that was killed can be resumed.

    OUTPUT.parts/
        lock                    held by the process that is at work
        job.json                what the job is: input, bundle, options; a resumed job must be the same
        part-00000.jsonl        predictions of the first rows, in the output's format (Parquet: an Arrow stream)
        part-00000.errors       rows that failed, as lines of the error file
        part-00000.json         how many rows, and what the summary needs; written last: with it the part is finished
        joined, joined.errors   the output in the making, begun anew by every process
        complete                every row is in a finished part, and the output may be put in place

Whatever a kill leaves half-written is under a name that nobody looks at.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import orjson

from service.errors import JobRefused
from service.offline.outputs import synced
from service.offline.totals import Totals

Identity = Mapping[str, Any]
"""What a job is, as JSON: what it is made of, and its `options`."""

_FORMAT: Final = 1
"""Of this directory."""

_OURS: Final = re.compile(
    r"(job\.json|part-[0-9]{5,}\.(jsonl|csv|arrow|errors|json)|joined|joined\.errors|complete)(\.making)?"
)
"""What may be removed again; should somebody keep files of their own in there, they stay. Spark's names begin like
ours: `part-00000-<a UUID>.csv`."""


class Parts:
    """The parts of one job.

    Attributes:
        directory: Where they are.
        finished: What was done in each finished part, in order.
        complete: Whether every row is in one of them.
    """

    __slots__ = ("complete", "directory", "finished")

    def __init__(self, directory: Path) -> None:
        """Names a directory; looks at nothing yet."""
        self.directory = directory
        self.finished: list[Totals] = []
        self.complete = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else works on this job meanwhile.

        Raises:
            JobRefused: Somebody does.
        """
        self.directory.mkdir(exist_ok=True)
        with (self.directory / "lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                ours = os.fstat(lock.fileno()).st_nlink > 0  # else whoever had it has just taken it away
            except BlockingIOError:
                ours = False
            if not ours:
                raise JobRefused(f"another process is at work in {self.directory}")
            try:
                yield
            finally:
                if self.directory.exists() and not self.begun:
                    self.clear()

    def begin(self, identity: Identity) -> None:
        """A job without a finished part."""
        self._empty()
        record = {"format": _FORMAT, **identity}
        self._put("job.json", orjson.dumps(record, option=orjson.OPT_INDENT_2))

    def resume(self, identity: Identity) -> None:
        """The job that was begun here.

        Raises:
            JobRefused: It is another one; says what differs.
        """
        now = orjson.loads(orjson.dumps({"format": _FORMAT, **identity}))
        record = orjson.loads((self.directory / "job.json").read_bytes())
        if record.get("options", {}).get("on_error") == "fail":  # no row of what is finished has failed
            record["options"]["on_error"] = now["options"]["on_error"]
        differing = list(_differences(record, now))
        if differing:
            raise JobRefused(
                f"{self.directory} belongs to another job: {'; '.join(differing)}; "
                "ask for that job again, or begin anew with --overwrite"
            )
        self._put("job.json", orjson.dumps(record, option=orjson.OPT_INDENT_2))
        while (path := self.part(len(self.finished), "json")).exists():
            self.finished.append(Totals(**orjson.loads(path.read_bytes())))
        self.complete = (self.directory / "complete").exists()

    @property
    def begun(self) -> bool:
        """Whether there is something to resume from."""
        return (self.directory / "job.json").exists() and self.part(0, "json").exists()

    def part(self, number: int, suffix: str) -> Path:
        """A file of a part."""
        return self.directory / f"part-{number:05d}.{suffix}"

    def finish(self, number: int, totals: Totals, files: tuple[Path, ...]) -> None:
        """The next part is finished: a kill, or a power failure, does not take it back."""
        for path in files:
            synced(path)
        self._put(self.part(number, "json").name, orjson.dumps(totals.members()))
        self.finished.append(totals)

    def finish_all(self) -> None:
        """Every row is in a finished part."""
        self._put("complete", b"")
        self.complete = True

    def clear(self) -> None:
        """The directory is gone."""
        self._empty()
        with suppress(FileNotFoundError):
            (self.directory / "lock").unlink()
        with suppress(OSError):
            self.directory.rmdir()

    def _empty(self) -> None:
        """Without `job.json` first: what a kill leaves of this is no job that could be resumed."""
        (self.directory / "job.json").unlink(missing_ok=True)
        for path in self.directory.iterdir():
            if _OURS.fullmatch(path.name) and not path.is_dir():
                path.unlink()

    def _put(self, name: str, content: bytes) -> None:
        """The file holds all of this, or is as it was."""
        making = self.directory / f"{name}.making"
        with making.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        making.replace(self.directory / name)
        synced(self.directory)


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> Iterator[str]:
    for name in dict.fromkeys([*then, *now]):
        was, is_ = then.get(name), now.get(name)
        if isinstance(was, dict) and isinstance(is_, dict):
            yield from _differences(was, is_, f"{within}{name} ")
        elif was != is_:
            yield f"{within}{name} was {was}, is {is_}"
