"""`keyscore view` makes, syncs and describes views through Google's client, as far as the emulator's REST side goes.

The commands run in processes of their own: Google's client warns while it is imported.
"""

import sys
from collections.abc import Callable

import pytest

_PARENT = "projects/p/locations/us-central1/featureOnlineStores/s"
_VIEW = f"{_PARENT}/featureViews/account"
pytest.importorskip(
    "google.cloud.aiplatform_v1.services", reason="the extra `admin` is not installed", exc_type=ImportError
)


@pytest.mark.usefixtures("emulator")
def test_from_a_table_to_a_synced_view(command: Callable) -> None:
    made = command(
        "view", "create", _VIEW, "--bigquery-table", "bank.features.account", "--entity-column", "customer_id",
        "--cron", "0 * * * *", "--create-store", "--max-nodes", 4,
    )  # fmt: skip  # flags and their values belong together
    assert made.stdout.splitlines() == [
        f"made the store {_PARENT}: Bigtable, 1 to 4 nodes",
        f"made the view {_VIEW}",
        "it reads bank.features.account by customer_id and syncs at '0 * * * *'",
        f"Next: keyscore view sync {_VIEW} --wait",
    ]
    assert "never synced, so it serves nothing yet" in command("view", "status", _VIEW).stdout
    synced = command("view", "sync", _VIEW, "--wait")
    assert synced.stdout.splitlines() == [f"began {_VIEW}/featureViewSyncs/1", "synced 1 rows in 0.0 s"]
    described = [line.split(maxsplit=1) for line in command("view", "status", _VIEW).stdout.splitlines()]
    assert [" ".join(words).rstrip() for words in described[:5]] == [
        f"view {_VIEW}",
        "state synced",
        "source bq://bank.features.account",
        "keys customer_id",
        "syncs 0 * * * *",
    ]
    assert [words[0] for words in described[5:]] == ["last", "ended", "rows"]
    assert made.returncode == synced.returncode == 0
    assert made.stderr == synced.stderr == ""


@pytest.mark.usefixtures("emulator")
def test_what_is_there_already(command: Callable) -> None:
    words = ("view", "create", _VIEW, "--bigquery-table", "b.f.account", "--entity-column", "id", "--create-store")
    assert command(*words).returncode == 0
    again = command(*words)
    assert again.returncode == 1
    assert again.stdout == f"the store {_PARENT} is there already\n"
    assert again.stderr == "error: Vertex AI answered ALREADY_EXISTS: FeatureView account already exists.\n"


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", f"{_PARENT}/featureViews/gone"), "Vertex AI answered NOT_FOUND: Requested entity was not found."),
        (("sync", _VIEW, "--vertex-rest-endpoint", "localhost:1"), "cannot be reached: ConnectionError"),
    ],
)
def test_what_the_store_refuses_is_one_line(command: Callable, words: tuple[str, ...], said: str) -> None:
    done = command("view", *words)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", "account"), "no bundle says where 'account' is"),
        (("create", _VIEW, "--bigquery-table", "features.account"), "must be project.dataset.table"),
        (("create", _VIEW, "--bigquery-table", "b.f.a"), "name the column of its key with --entity-column"),
        (("create", _VIEW, "--bigquery-table", "b.f.a", "--max-nodes", "11"), "from --min-nodes to ten times that"),
    ],
)
def test_a_mistake_is_one_line(keyscore: Callable, words: tuple[str, ...], said: str) -> None:
    outcome = keyscore("view", *words)
    assert outcome.code == 1
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


def test_an_emulator_without_an_address(keyscore: Callable) -> None:
    outcome = keyscore("view", "status", _VIEW, "--vertex-plaintext")
    assert outcome.code == 1
    assert outcome.err.startswith("error: KEYSCORE_VERTEX_REST_ENDPOINT is not set")


def test_without_the_extra_it_says_how_to_install_it(keyscore: Callable, hidden: Callable[[str], None]) -> None:
    hidden("google.cloud.aiplatform_v1.services")
    outcome = keyscore("view", "status", _VIEW)
    assert outcome.code == 1
    assert outcome.err == (
        "error: this needs Google's client: pip install --require-hashes --no-deps -r requirements-admin.lock\n"
    )


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`hidden(module)`: importing it fails, as if it were not installed."""
    return lambda module: monkeypatch.setitem(sys.modules, module, None)
