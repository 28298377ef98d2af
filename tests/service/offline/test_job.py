"""A job that stops says why, and nothing else."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from features.planning import Instances
from service.errors import JobStopped, RowUnreadable, TableError
from service.offline.chunks import Chunk
from service.offline.formats import OnError
from service.offline.job import Job
from service.offline.scoring import Scored
from service.offline.totals import Totals
from service.parsing import ParsedRequest
from service.schemas import Parameters


class Cut:
    """An input of two chunks, of whose third nobody can make anything; scoring takes until that is being read."""

    name = "in.jsonl"
    unit = "line"
    bundle = None

    def __init__(self) -> None:
        self.last = threading.Event()

    def chunks(self) -> Iterator[Chunk]:
        for start in (1, 3):
            request = ParsedRequest(2, Parameters(), Instances(1, 0))
            request.instances.extend([["C1"]], [])
            request.indexes.append(1)
            request.failures[0] = RowUnreadable("is not JSON")
            sent: Any = None
            yield Chunk(request, (start, start + 1), sent, None)
        self.last.set()
        raise TableError("the file is cut short")

    async def score(self, _: Instances) -> Scored:
        await asyncio.to_thread(self.last.wait)
        assembly: Any = None
        return Scored(assembly, np.zeros((1, 1)), {})


def test_what_the_reader_runs_into_while_a_job_stops_is_not_complained_of(caplog: pytest.LogCaptureFixture) -> None:
    cut, nothing = Cut(), SimpleNamespace(call=lambda: None, close=lambda: None)
    fakes: Any = {"sink": nothing, "wake": nothing, "source": cut, "scoring": cut}
    more: Any = {"encode": None, "on_error": OnError.FAIL, "done": Totals(), "progress": None}
    job = Job(chunks=cut.chunks(), **fakes, **more)
    with pytest.raises(JobStopped, match=r"in\.jsonl: line 1: is not JSON"):
        asyncio.run(job.run())
    del job
    gc.collect()
    assert caplog.messages == []
