"""Bytes come unzipped, and a stream that nobody waits for any more comes to its end."""

import gzip
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from service.errors import TableError
from service.offline.streams import Wake, opened


@pytest.fixture
def wake() -> Iterator[Wake]:
    with closing(Wake()) as made:
        yield made


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_read_to_its_end_and_tells_how_far_it_is(tmp_path: Path, wake: Wake, packed: bool) -> None:  # noqa: FBT001  # what pytest hands in
    (tmp_path / "x").write_bytes(gzip.compress(b"a\nb\n") if packed else b"a\nb\n")
    with opened(tmp_path / "x", wake) as (file, share):
        assert list(file) == [b"a\n", b"b\n"]
        assert share() == 1.0


def test_an_empty_file_is_refused(tmp_path: Path, wake: Wake) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(TableError, match="x is empty"), opened(tmp_path / "x", wake):
        pass


def test_a_pipe_tells_no_share(tmp_path: Path, wake: Wake) -> None:
    os.mkfifo(tmp_path / "x")
    feeding = Thread(target=(tmp_path / "x").write_bytes, args=(b"a\n",))
    feeding.start()
    with opened(tmp_path / "x", wake) as (file, share):
        assert list(file) == [b"a\n"]
        assert share() is None
    feeding.join()


def test_a_wait_ends_when_it_is_called_off_and_not_before(wake: Wake) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"x")
    assert wake.wait(reader)
    os.read(reader, 1)
    found: list[bool] = []
    waiting = Thread(target=lambda: found.append(wake.wait(reader)))
    waiting.start()
    wake.call()
    waiting.join()
    os.close(reader)
    os.close(writer)
    assert found == [False]


def test_a_read_of_a_named_pipe_ends_when_nobody_waits_for_it(tmp_path: Path, wake: Wake) -> None:
    os.mkfifo(tmp_path / "x")
    keeping = os.open(tmp_path / "x", os.O_RDWR)  # so that the pipe never ends by itself
    os.write(keeping, b"a\nb")
    with opened(tmp_path / "x", wake) as (file, _):
        wake.call()
        assert list(file) == [b"a\n", b"b"]
    os.close(keeping)
