"""Callers that behave like the real ones, alone and under locust."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from load_tests import locusting
from load_tests.alone import claimed
from load_tests.bench import Bench
from load_tests.bundles import Served
from load_tests.callers import Zipf

pytestmark = pytest.mark.anyio


def test_the_hottest_key_is_drawn_most_and_the_coldest_at_times() -> None:
    keys = [f"C{number}" for number in range(50)]
    zipf, dice = Zipf(keys, exponent=1.0), Random(3)  # noqa: S311  # the same draws on every run
    drawn = Counter(zipf.draw(dice) for _ in range(20_000))
    assert [key for key, _ in drawn.most_common(3)] == keys[:3]
    assert set(drawn) == set(keys)
    assert 1.6 < drawn["C0"] / drawn["C1"] < 2.5  # by Zipf's law, twice as often


@pytest.fixture
async def bench(
    start_bench: Callable[..., Awaitable[Bench]], demo_served: Served, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    """A service with rows of its own; locust's oracle knows them as they were."""
    monkeypatch.setenv("LOAD_BUNDLE", str(demo_served.bundle))
    monkeypatch.setenv("LOAD_STORE", str(demo_served.store))
    monkeypatch.setenv("LOAD_BATCH_SIZE", "20")
    return await start_bench(bundle=demo_served, store="sqlite", private_rows=True)


async def run_locust(bench: Bench, folder: Path) -> tuple[int, dict[str, Any]]:
    """Locust's exit code, and its figures by the name of the request."""
    arguments = ["--host", f"http://127.0.0.1:{bench.address[1]}", "--headless", "--html", str(folder / "report.html")]
    arguments += [
        "--users",
        "15",
        "--spawn-rate",
        "100",
        "--run-time",
        "2s",
        "--json-file",
        str(folder / "figures"),
        "--only-summary",
    ]
    code = await locusting.run(arguments)
    assert "<html" in (folder / "report.html").read_text(encoding="utf-8")
    return code, {one["name"]: one for one in json.loads((folder / "figures.json").read_text())}


async def test_locusts_users_ask_in_all_three_ways_without_a_failure(bench: Bench, tmp_path: Path) -> None:
    code, figures = await run_locust(bench, tmp_path)
    assert code == 0
    assert set(figures) == {"/predict (WebApp)", "/predict/detailed (Fraud)", "/predict (Batch)"}
    assert all(one["num_requests"] > 0 == one["num_failures"] for one in figures.values())


async def test_a_wrong_answer_is_a_failure_in_locusts_tables(bench: Bench, tmp_path: Path) -> None:
    for customer in bench.asker.customers:
        row = bench.oracle.truth.current("customer_account", customer)
        assert row is not None
        bench.oracle.truth.change_unnoticed("customer_account", customer, {**row, "balance": -1.0})
    code, figures = await run_locust(bench, tmp_path)
    assert code == 1
    told = figures["/predict/detailed (Fraud)"]
    assert told["num_requests"] == told["num_failures"] > 0  # a score alone need not move with the balance


async def test_no_service_is_started_while_another_run_has_the_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "lock"
    with claimed(lock):
        assert await locusting.run([], lock=lock) == 2
    assert "is measuring on this machine" in capsys.readouterr().err


async def test_a_host_without_a_scheme_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        await locusting.run(["--host", "localhost:8080"])
    assert "'localhost:8080' is no base URL: it must begin with http:// or https://" in capsys.readouterr().err


async def test_a_service_that_does_not_say_what_it_serves_is_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    async def not_here(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(not_here, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await locusting.run(["--host", f"http://127.0.0.1:{port}/"]) == 2
    told = capsys.readouterr().err
    assert f"http://127.0.0.1:{port}/metadata must say what is served" in told
    assert "404" in told
    assert "KEYSCORE_ADMIN_PORT" in told
