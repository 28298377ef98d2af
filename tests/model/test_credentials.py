"""Reading from Google itself carries a token, from wherever this process got its identity."""

import json
import socket
from pathlib import Path
from typing import Any

import google.auth.exceptions
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from model.bucket import BucketLocation
from model.credentials import FetcherRequest
from model.errors import ArtifactError
from model.fetching import Fetcher


@pytest.fixture(autouse=True)
def no_identity(cloud: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login of this machine is found, and the metadata server is the local one."""
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("GCE_METADATA_HOST", cloud.address)
    cloud.objects = {"models/fraud/model.cbm": b"a model"}


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def key_file(cloud: Any, private_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service account's key, whose tokens come from the local server."""
    path = tmp_path / "key.json"
    content = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": private_key,
        "client_email": "reader@p.iam.gserviceaccount.com",
        "token_uri": f"{cloud.url}/token",
    }
    path.write_text(json.dumps(content))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    return path


def read(cloud: Any) -> list[bytes]:
    with BucketLocation("models", "fraud", host=cloud.url, sleep=lambda _: None) as location:
        return [location.read("model.cbm"), location.read("model.cbm")]


def test_a_key_file_is_exchanged_for_one_token(cloud: Any, key_file: Path) -> None:
    assert key_file.exists()
    assert read(cloud) == [b"a model"] * 2
    (login, _), *reads = cloud.seen
    assert login == "/token"
    assert [headers["Authorization"] for _, headers in reads] == ["Bearer a token"] * 2


def test_without_a_key_file_the_platform_gives_the_token(cloud: Any) -> None:
    assert read(cloud) == [b"a model"] * 2
    (path, headers), *reads = cloud.seen
    assert path.startswith("/computeMetadata/v1/instance/service-accounts/default/token?scopes=https://")
    assert headers["Metadata-Flavor"] == "Google"
    assert [headers["Authorization"] for _, headers in reads] == ["Bearer a token"] * 2


def test_a_metadata_server_that_is_not_ready_is_waited_for(cloud: Any) -> None:
    cloud.script = [503]
    assert read(cloud) == [b"a model"] * 2


@pytest.mark.parametrize("token", [{}, [], {"error": "x"}])
def test_an_answer_without_a_token_is_no_login(cloud: Any, token: object) -> None:
    cloud.token = token
    with pytest.raises(ArtifactError, match="no metadata server gives a token"):
        read(cloud)


def test_no_identity_is_said_with_what_to_do(cloud: Any) -> None:
    cloud.script = [404]
    with pytest.raises(ArtifactError, match=r"answered 404\): run `gcloud auth application-default login`"):
        read(cloud)


def test_a_key_file_that_is_none_is_named(cloud: Any, key_file: Path) -> None:
    key_file.write_text("{}")
    with pytest.raises(ArtifactError, match="GOOGLE_APPLICATION_CREDENTIALS names no usable credentials"):
        read(cloud)


def test_a_key_that_is_refused_is_an_error_of_login(cloud: Any, key_file: Path) -> None:
    assert key_file.exists()
    cloud.script = [401]
    with pytest.raises(ArtifactError, match="cannot log in to Google Cloud"):
        read(cloud)


def test_silence_is_told_to_google_auth_in_its_own_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/token"
    fetcher = Fetcher()
    with pytest.raises(google.auth.exceptions.TransportError):
        FetcherRequest(fetcher)(url, timeout=1.0)
    fetcher.close()
