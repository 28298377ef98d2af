"""What holds for all commands: help, exit codes, and what is imported."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

COMMANDS = ("check", "predict", "put", "load", "demo")


def imported(code: str, *modules: str) -> set[str]:
    """Which of the modules a fresh interpreter has imported after running the code."""
    script = f"{code}\nimport sys\nprint('IMPORTED', *[name for name in {modules!r} if name in sys.modules])"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # our own words
    return set(done.stdout.rpartition("IMPORTED")[2].split())


def test_the_version_is_the_installed_one(keyscore: Callable) -> None:
    outcome = keyscore("--version")
    assert (outcome.code, outcome.out) == (0, f"keyscore {version('keyscore')}\n")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_command(keyscore: Callable, flag: str) -> None:
    outcome = keyscore(flag)
    assert outcome.code == 0
    assert all(command in outcome.out for command in ("serve", *COMMANDS))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_of_itself(keyscore: Callable, command: str) -> None:
    outcome = keyscore(command, "--help")
    assert outcome.code == 0
    assert f"• keyscore {command}" in outcome.out


def test_serve_shows_the_help_of_the_settings(keyscore: Callable, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        keyscore("serve", "--help")
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "usage: keyscore serve" in out
    assert "KEYSCORE_SQLITE_PATH" in out


def test_serve_hands_its_flags_through(keyscore: Callable) -> None:
    outcome = keyscore("serve", "--port", "0", "--sqlite-path", "nowhere.sqlite")
    assert outcome.code == 1
    assert "keyscore cannot start: the store's file nowhere.sqlite does not exist" in outcome.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lod",), "No such command 'lod'. Did you mean 'load'?"),
        (("put",), "Missing argument 'VIEW'"),
        (("put", "account", "C1", "balance=1", "--evnt-time", "1"), "No such option: --evnt-time"),
        (("demo", "--days", "3"), "greater than or equal to 60"),
        (("load", "view", "rows.csv", "--key", "id", "--duplicates", "first"), "'first' is not one of"),
    ],
)
def test_what_cannot_be_understood_ends_with_2_and_no_traceback(
    keyscore: Callable, words: tuple[str, ...], said: str
) -> None:
    outcome = keyscore(*words)
    assert outcome.code == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.usefixtures("store")
def test_a_setting_out_of_bounds_is_one_line(keyscore: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSCORE_PORT", "many")
    outcome = keyscore("put", "account", "C1", "balance=1")
    assert outcome.code == 1
    assert outcome.err.startswith("error: KEYSCORE_PORT: input should be a valid integer")
    assert outcome.err.count("\n") == 1


@pytest.mark.usefixtures("store")
def test_a_misspelt_variable_is_mentioned(keyscore: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSCORE_SQLITEPATH", "elsewhere")
    outcome = keyscore("put", "account", "C1", "balance=1")
    assert outcome.code == 0
    assert "warning: the environment sets KEYSCORE_SQLITEPATH, which is no setting of Keyscore" in outcome.err


def test_a_variable_sets_and_a_flag_wins(keyscore: Callable, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSCORE_SQLITE_PATH", "elsewhere.sqlite")
    assert "elsewhere.sqlite does not exist" in keyscore("put", "account", "C1", "balance=1").err
    assert keyscore("put", "account", "C1", "balance=1", "--sqlite-path", store).code == 0


@pytest.mark.parametrize("words", [["--help"], ["put", "--help"], ["put", "account", "C1", "balance=1"]])
def test_light_commands_do_not_wait_for_heavy_imports(words: list[str]) -> None:
    run = f"from service.cli.main import main\nmain({words!r})"
    assert imported(run, "catboost", "pandas", "pyarrow", "fastapi") == set()


def test_the_server_carries_nothing_of_the_command_line() -> None:
    server = "import service.running, service.app, service.wiring"
    # pyarrow is not asked for here: pandas, which CatBoost imports, takes it along when it is installed
    assert imported(server, "typer", "rich", "service.tables", "service.loading", "service.cli") == set()


def test_serve_does_not_import_typer_or_rich() -> None:
    run = "from service.cli.main import main\nmain(['serve', '--sqlite-path', 'nowhere.sqlite', '--port', '0'])"
    assert imported(run, "typer", "rich") == set()


def test_the_entry_point_is_installed(tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("keyscore"), "put", "a", "b", "c=1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)  # noqa: S603  # same
    assert done.returncode == 1
    assert done.stderr.startswith("error: the store's file var/features.sqlite does not exist")
    assert "\x1b" not in done.stdout + done.stderr
