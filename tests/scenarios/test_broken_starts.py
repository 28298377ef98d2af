"""What cannot be served is never served: one clear line, exit code 1, within two seconds, and no port is opened."""

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

Process = Callable[..., "subprocess.Popen[str]"]
PATIENCE_S = 10  # two on a machine that is idle and has its bytecode; a busy one is slow, not wrong


@pytest.fixture
def bundle(small_demo: Any, tmp_path: Path) -> Path:
    """A copy of the demo's bundle, to be broken."""
    return Path(copytree(small_demo.bundle, tmp_path / "bundle"))


@pytest.fixture
def refused(process: Process, small_demo: Any, bundle: Path) -> Callable[..., str]:
    """`refused()`: what the process said instead of starting."""

    def run(*arguments: str, **variables: str) -> str:
        paths = {"KEYSCORE_BUNDLE": str(bundle), "KEYSCORE_SQLITE_PATH": str(small_demo.store)}
        begun = process("--port", "0", *arguments, **{**paths, **variables})
        said, _ = begun.communicate(timeout=PATIENCE_S)
        assert begun.returncode == 1, said
        assert said.startswith("keyscore cannot start: ")
        assert said.count("\n") == 1
        assert "Traceback" not in said
        return said

    return run


def change(path: Path, edit: Callable[[str], str]) -> None:
    before = path.read_text()
    after = edit(before)
    assert after != before
    path.write_text(after)


def test_a_corrupt_byte_in_the_model(refused: Callable[..., str], bundle: Path) -> None:
    data = bytearray((bundle / "model.cbm").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (bundle / "model.cbm").write_bytes(data)
    assert "model.cbm is not the file that the bundle names" in refused()


def test_a_truncated_model_whose_digest_nobody_wrote_down(refused: Callable[..., str], bundle: Path) -> None:
    data = (bundle / "model.cbm").read_bytes()
    (bundle / "model.cbm").write_bytes(data[: len(data) * 2 // 3])
    change(bundle / "serving.yaml", lambda text: text.partition(", sha256:")[0] + "}\n" + text.partition("}\n")[2])
    assert "the model file is cut short or damaged" in refused()


def test_a_wrong_digest(refused: Callable[..., str], bundle: Path) -> None:
    digit = (bundle / "serving.yaml").read_text().partition("sha256: ")[2][0]
    change(
        bundle / "serving.yaml",
        lambda text: text.replace(f"sha256: {digit}", f"sha256: {'0' if digit != '0' else '1'}"),
    )
    assert "expected sha256:" in refused()


def test_features_out_of_order(refused: Callable[..., str], bundle: Path) -> None:
    def swapped(text: str) -> str:
        lines = text.splitlines(keepends=True)
        at = next(number for number, line in enumerate(lines) if "name: balance" in line)
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
        return "".join(lines)

    change(bundle / "serving.yaml", swapped)
    said = refused()
    assert "feature 2 is 'balance' in the model but 'credit_limit' in the spec; list them in the model's order" in said


def test_a_feature_that_the_model_does_not_have(refused: Callable[..., str], bundle: Path) -> None:
    change(bundle / "serving.yaml", lambda text: text.replace("name: account_age_days", "name: age_days"))
    said = refused()
    assert "the model has no feature 'age_days'" in said
    assert "the spec lists no feature 'account_age_days'" in said


def test_a_golden_line_with_another_score(refused: Callable[..., str], bundle: Path) -> None:
    def nudged(text: str) -> str:
        lines = [json.loads(line) for line in text.splitlines()]
        lines[3]["scores"][0] += 1e-6
        return "".join(f"{json.dumps(line)}\n" for line in lines)

    change(bundle / "golden.jsonl", nudged)
    assert "golden.jsonl: line 4 does not score as recorded (off by 1e-06, allowed 1e-09)" in refused()


def test_an_empty_bundle_and_one_that_is_nowhere(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no model.cbm" in refused(KEYSCORE_BUNDLE=str(tmp_path / "empty"))
    assert "does not exist" in refused(KEYSCORE_BUNDLE=str(tmp_path / "nowhere"))


def test_on_cloud_run_the_demo_is_no_default(refused: Callable[..., str]) -> None:
    assert "set KEYSCORE_BUNDLE" in refused(KEYSCORE_BUNDLE="", K_SERVICE="keyscore")


def test_a_store_file_that_is_missing_or_not_a_database(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "does not exist" in refused(KEYSCORE_SQLITE_PATH=str(tmp_path / "nowhere.sqlite"))
    (tmp_path / "text.sqlite").write_text("nothing of the kind " * 100)
    assert "is not a sqlite database" in refused(KEYSCORE_SQLITE_PATH=str(tmp_path / "text.sqlite"))


def test_a_store_file_that_is_locked(refused: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "locked.sqlite"
    with_lock = sqlite3.connect(path, isolation_level=None)
    try:
        with_lock.execute("CREATE TABLE t (x)")
        with_lock.execute("BEGIN EXCLUSIVE")
        assert "is locked by another process" in refused(KEYSCORE_SQLITE_PATH=str(path))
    finally:
        with_lock.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_model_that_may_not_be_read(refused: Callable[..., str], bundle: Path) -> None:
    (bundle / "model.cbm").chmod(0)
    assert "Permission denied" in refused()
