"""Settings come from flags, then the environment, and what the platforms set is honoured."""

from pathlib import Path

import pytest

from service.errors import StartError
from service.settings import (
    DEMO_BUNDLE,
    Platform,
    Settings,
    bundle_uri,
    listen_port,
    read_settings,
    unknown_variables,
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"KEYSCORE_{name.upper()}", raising=False)


def test_what_is_shipped_serves_a_laptop() -> None:
    settings, platform = read_settings([], {})
    assert (settings.store, settings.sqlite_path) == ("sqlite", Path("var/features.sqlite"))
    assert (settings.deadline_s, settings.features_share) == (1.0, 0.8)
    assert (settings.max_instances, settings.max_body_bytes, settings.cache_rows) == (10_000, 1_500_000, 100_000)
    assert platform == Platform()


def test_a_flag_wins_over_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSCORE_MAX_INSTANCES", "7")
    monkeypatch.setenv("KEYSCORE_CACHE_ROWS", "9")
    settings, _ = read_settings(["--max-instances", "8"], {})
    assert (settings.max_instances, settings.cache_rows) == (8, 9)


def test_an_empty_variable_is_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSCORE_MAX_INSTANCES", "")
    assert read_settings([], {})[0].max_instances == 10_000


def test_all_bad_values_are_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSCORE_MAX_INSTANCES", "0")
    monkeypatch.setenv("KEYSCORE_STORE", "redis")
    with pytest.raises(StartError) as caught:
        read_settings(["--port", "70000"], {})
    text = str(caught.value)
    assert "\n" not in text
    assert "KEYSCORE_MAX_INSTANCES: input should be greater than or equal to 1" in text
    assert "KEYSCORE_STORE: input should be 'sqlite'" in text
    assert "KEYSCORE_PORT: input should be less than or equal to 65535" in text


def test_a_misspelt_variable_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"KEYSCORE_BUNDEL": "x", "KEYSCORE_BUNDLE": "y", "OTHER": "z"}
    assert unknown_variables(environ) == ["KEYSCORE_BUNDEL"]
    read_settings([], environ)
    assert "KEYSCORE_BUNDEL, which is no setting of Keyscore" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["AIP_MODE", "K_SERVICE"])
def test_vertex_and_cloud_run_are_managed(name: str) -> None:
    assert Platform.of({name: "x"}).managed
    assert not Platform.of({"PORT": "8080"}).managed


def test_what_vertex_sets_is_read() -> None:
    environ = {
        "AIP_HTTP_PORT": "8081",
        "PORT": "1",
        "AIP_STORAGE_URI": "gs://b/p",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
        "AIP_HEALTH_ROUTE": "/health",
    }
    platform = Platform.of(environ)
    assert platform.port == 8081
    assert platform.storage_uri == "gs://b/p"
    assert platform.predict_route == "/v1/endpoints/1/deployedModels/2:predict"
    assert platform.health_route == "/health"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"PORT": "eighty"}, "PORT must be a port number from 0 to 65535"),
        ({"PORT": "-1"}, "PORT must be a port number"),
        ({"AIP_HTTP_PORT": "65536"}, "AIP_HTTP_PORT must be a port number"),
        ({"PORT": "٨٠٨٠"}, "PORT must be a port number"),  # digits, but not ASCII ones: the point
        ({"AIP_PREDICT_ROUTE": "predict"}, "AIP_PREDICT_ROUTE must begin with a slash"),
        ({"AIP_HEALTH_ROUTE": "health"}, "AIP_HEALTH_ROUTE must begin with a slash"),
        ({"AIP_PREDICT_ROUTE": "/{x}/{x}"}, "AIP_PREDICT_ROUTE must be a path as it is, without braces"),
    ],
)
def test_a_platform_that_breaks_its_contract_is_named(environ: dict[str, str], said: str) -> None:
    with pytest.raises(StartError, match=said):
        Platform.of(environ)


def test_the_bundle_is_the_setting_then_what_vertex_gave_then_the_demo() -> None:
    assert bundle_uri(Settings(bundle="mine"), Platform(storage_uri="gs://b")) == "mine"
    assert bundle_uri(Settings(), Platform(managed=True, storage_uri="gs://b")) == "gs://b"
    assert bundle_uri(Settings(), Platform()) == DEMO_BUNDLE


def test_where_a_platform_manages_the_service_a_missing_bundle_is_an_error() -> None:
    with pytest.raises(StartError, match="set KEYSCORE_BUNDLE"):
        bundle_uri(Settings(), Platform(managed=True))


def test_the_port_is_the_setting_then_the_platforms_then_8080() -> None:
    assert listen_port(Settings(port=0), Platform(port=5)) == 0
    assert listen_port(Settings(), Platform(port=0)) == 0
    assert listen_port(Settings(), Platform()) == 8080


@pytest.mark.parametrize("address", ["http://localhost:8070", "localhost", "localhost:port", "localhost:8070/"])
def test_an_endpoint_is_host_and_port_and_nothing_else(address: str) -> None:
    with pytest.raises(StartError, match="KEYSCORE_VERTEX_ENDPOINT"):
        read_settings(["--vertex-endpoint", address], {})
