"""`keyscore check` with the store on Vertex AI: credentials, existence, and one read of each view."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_PARENT = "projects/demo/locations/us-central1/featureOnlineStores/demo/featureViews"


@pytest.fixture
def store(small_demo: Any) -> Path:
    """The demo's, for the emulator to serve."""
    path: Path = small_demo.store
    return path


@pytest.mark.usefixtures("emulator")
def test_all_is_well(keyscore: Callable, small_demo: Any) -> None:
    outcome = keyscore("check", "--bundle", small_demo.bundle)
    lines = outcome.out.splitlines()
    assert outcome.code == 0
    assert [line.split()[0] for line in lines] == ["ok"] * 9
    assert lines[3] == "ok      credentials: none needed: KEYSCORE_VERTEX_PLAINTEXT is set"
    assert lines[4].startswith("ok      view customer_account: exists; C")
    assert lines[4].endswith(" ms, 4 columns")
    assert " scores [" in lines[8]


@pytest.mark.usefixtures("emulator")
def test_a_view_that_is_not_there_and_one_without_a_source(keyscore: Callable, small_demo: Any, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for file in small_demo.bundle.iterdir():
        (bundle / file.name).write_bytes(file.read_bytes())
    serving = (bundle / "serving.yaml").read_text()
    serving = serving.replace(f"{_PARENT}/customer_activity", f"{_PARENT}/gone")
    (bundle / "serving.yaml").write_text(serving.replace(f"    source: {_PARENT}/merchant_risk\n", ""))
    outcome = keyscore("check", "--bundle", bundle)
    assert outcome.code == 1
    problems = [line for line in outcome.out.splitlines() if line.startswith("problem")]
    assert problems[0] == (
        f"problem view customer_activity: {_PARENT}/gone does not exist; `keyscore view create` makes it"
    )
    assert problems[1].startswith("problem view merchant_risk: view 'merchant_risk' needs `source: projects/P/")
    refused = keyscore("serve", "--bundle", bundle, "--port", 0)
    assert refused.code == 1
    assert "keyscore cannot start: view 'merchant_risk' needs `source: projects/P/locations/L/" in refused.out


@pytest.mark.usefixtures("emulator")
def test_a_store_that_does_not_answer(keyscore: Callable, small_demo: Any) -> None:
    outcome = keyscore("check", "--bundle", small_demo.bundle, "--vertex-endpoint", "localhost:1")
    assert outcome.code == 1
    assert "exists; C" in outcome.out
    assert "cannot be read: the store answered UNAVAILABLE" in outcome.out


@pytest.mark.usefixtures("emulator")
def test_views_that_are_not_looked_up_are_a_warning(
    keyscore: Callable, small_demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEYSCORE_VERTEX_REST_ENDPOINT")
    outcome = keyscore("check", "--bundle", small_demo.bundle)
    assert outcome.code == 0
    assert "warning view customer_account: is not looked up, for KEYSCORE_VERTEX_REST_ENDPOINT" in outcome.out


@pytest.mark.usefixtures("emulator")
def test_no_credentials(keyscore: Callable, small_demo: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEYSCORE_VERTEX_PLAINTEXT", "0")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    outcome = keyscore("check", "--bundle", small_demo.bundle)
    assert outcome.code == 1
    assert "problem credentials: no Google credentials: DefaultCredentialsError" in outcome.out


@pytest.mark.usefixtures("emulator")
def test_a_model_alone_reads_the_view_that_a_setting_names(
    keyscore: Callable, train: Callable, write_bundle: Callable
) -> None:
    bundle = write_bundle(train(("balance", "credit_limit"), ()))
    view = ("--bundle", bundle, "--view", f"{_PARENT}/customer_account")
    outcome = keyscore("predict", "C00017", *view)
    assert outcome.code == 0, outcome.err
    assert "credit_limit" in outcome.out
    assert keyscore("check", *view).code == 0


@pytest.mark.parametrize("words", [("check",), ("put", "customer_account", "C1", "balance=1")])
def test_google_is_never_asked_without_tls(keyscore: Callable, small_demo: Any, words: tuple[str, ...]) -> None:
    flags = ("--store", "vertex", "--bundle", small_demo.bundle)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEYSCORE_VERTEX_PLAINTEXT", "1")
        patch.delenv("KEYSCORE_VERTEX_ENDPOINT", raising=False)
        outcome = keyscore(*words, *flags)
    assert outcome.code == 1
    assert "KEYSCORE_VERTEX_PLAINTEXT is for an emulator" in outcome.out + outcome.err
