"""What the process uses is read where the system says it, and left out where it says nothing."""

import os
from pathlib import Path

from service.telemetry.process import cpu_s, memory_bytes, open_descriptors


def test_memory_is_the_resident_pages(tmp_path: Path) -> None:
    statm = tmp_path / "statm"
    statm.write_text("90 7 3 1 0 4 0\n", encoding="ascii")
    assert memory_bytes(statm) == {(): 7 * os.sysconf("SC_PAGE_SIZE")}


def test_descriptors_are_counted_without_the_one_that_counts(tmp_path: Path) -> None:
    for name in ("0", "1", "2", "9"):
        (tmp_path / name).touch()
    assert open_descriptors(tmp_path) == {(): 3}


def test_where_there_is_no_proc_there_is_no_number(tmp_path: Path) -> None:
    assert memory_bytes(tmp_path / "none") == {}
    assert open_descriptors(tmp_path / "none") == {}


def test_processor_time_passes() -> None:
    assert cpu_s()[()] > 0
