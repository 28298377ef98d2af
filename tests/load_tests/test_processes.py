"""Who runs and who listens where: a figure is worth something only if nobody else has the service's core or port."""

import os
import socket
import subprocess
import sys

import pytest

from load_tests.processes import LOAD_CORE, SERVICE_CORE, free_port, pinned

two_cores = pytest.mark.skipif(
    not {LOAD_CORE, SERVICE_CORE} <= os.sched_getaffinity(0), reason="needs both of the cores that load tests use"
)


@two_cores
def test_the_service_gets_its_own_core_although_the_program_that_starts_it_has_another() -> None:
    tell = [sys.executable, "-c", "import os; print(*os.sched_getaffinity(0))"]
    before = os.sched_getaffinity(0)
    with pinned(LOAD_CORE):
        with pinned(SERVICE_CORE):
            assert subprocess.check_output(tell).split() == [b"%d" % SERVICE_CORE]  # noqa: S603  # our own command
        assert os.sched_getaffinity(0) == {LOAD_CORE}
    assert os.sched_getaffinity(0) == before


def test_a_core_that_is_not_there_pins_nothing() -> None:
    before = os.sched_getaffinity(0)
    with pinned(9_999):
        assert os.sched_getaffinity(0) == before


def test_a_port_is_not_given_to_two_who_have_yet_to_listen() -> None:
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == len(ports)


def test_a_port_on_which_somebody_listens_is_given_to_nobody() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listening:
        assert listening.getsockname()[1] not in {free_port() for _ in range(600)}
