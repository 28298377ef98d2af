"""`keyscore demo` leaves something that serves, and says what to do with it."""

from collections.abc import Callable
from pathlib import Path

SMALL = ("--customers", "300", "--merchants", "250", "--days", "70")


def test_a_demo_that_serves(keyscore: Callable, tmp_path: Path) -> None:
    outcome = keyscore("demo", *SMALL)
    assert outcome.code == 0
    assert "simulating 300 customers, 250 merchants, 70 days" in outcome.err
    assert "stored 848 feature rows in var/features.sqlite" in outcome.err
    assert "ROC AUC" in outcome.out
    assert "precision in the top 100 a day" in outcome.out
    assert outcome.out.splitlines()[-1] == "Next: keyscore serve   (or keyscore check)"
    assert keyscore("check").code == 0
    before = (tmp_path / "var/demo/model.cbm").stat().st_mtime_ns
    again = keyscore("demo", *SMALL, "--if-missing")
    assert again.code == 0
    assert again.out == "The demo is there already: var/demo and var/features.sqlite.\n"
    assert (tmp_path / "var/demo/model.cbm").stat().st_mtime_ns == before
    (tmp_path / "var/features.sqlite").unlink()
    rebuilt = keyscore("demo", *SMALL, "--if-missing", "--sqlite-path", "other.sqlite")
    assert rebuilt.out.splitlines()[-1].startswith("Next: keyscore serve --sqlite-path other.sqlite")
    assert (tmp_path / "other.sqlite").is_file()


def test_a_folder_of_somebody_elses_is_left_alone(keyscore: Callable, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    outcome = keyscore("demo", *SMALL, "--directory", "mine")
    assert outcome.code == 1
    assert outcome.err == "error: mine holds something that is not a bundle; name another folder\n"


def test_a_folder_that_cannot_be_made(keyscore: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = keyscore("demo", *SMALL, "--directory", "file/demo")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1].startswith("error: file/demo cannot be written")
