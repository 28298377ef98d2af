"""One run at a time on one machine: two would measure each other."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCK: Final = Path(tempfile.gettempdir()) / f"keyscore-load-{os.getuid()}.lock"
"""Outside the checkout: two checkouts have the same cores."""


@contextmanager
def claimed(lock: Path = LOCK) -> Iterator[str | None]:
    """Has the machine until the block ends; gives the reason why nothing can be judged now if another run has it."""
    with lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go when the process ends, however it does
        except BlockingIOError:
            file.seek(0)
            yield f"another run (pid {file.read().strip() or 'unknown'}) is measuring on this machine: wait for its end"
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield None
