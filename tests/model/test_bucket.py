"""A bundle is read from a bucket, patiently, and what goes wrong is said in one line."""

import socket
from typing import Any

import pytest

from model.artifact import open_location
from model.bucket import BucketLocation
from model.errors import ArtifactError


@pytest.fixture(autouse=True)
def emulator(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.url)


@pytest.fixture
def pauses() -> list[float]:
    return []


def read(pauses: list[float], name: str = "model.cbm") -> bytes:
    with BucketLocation("models", "fraud/1", sleep=pauses.append) as location:
        return location.read(name)


def test_objects_under_the_prefix_are_read(cloud: Any) -> None:
    cloud.objects = {"models/fraud/1/model.cbm": b"a model"}
    with open_location("gs://models/fraud/1/") as location:
        assert str(location) == "gs://models/fraud/1"
        assert location.read("model.cbm") == b"a model"
        assert location.read_optional("serving.yaml") is None
        with pytest.raises(ArtifactError, match=r"gs://models/fraud/1 holds no serving\.yaml"):
            location.read("serving.yaml")


def test_a_whole_bucket_may_be_the_bundle(cloud: Any) -> None:
    cloud.objects = {"models/model.cbm": b"a model"}
    with open_location("gs://models") as location:
        assert str(location) == "gs://models"
        assert location.read("model.cbm") == b"a model"


@pytest.mark.parametrize("name", ["a b.cbm", "ü+%2F#?&=.cbm", "sub/model.cbm", "日本.cbm"])
def test_names_are_quoted(cloud: Any, name: str) -> None:
    cloud.objects = {f"models/fraud #1/{name}": b"a model"}
    with open_location("gs://models/fraud #1") as location:
        assert location.read(name) == b"a model"


def test_a_name_that_leads_out_of_the_bundle_is_refused(cloud: Any, pauses: list[float]) -> None:
    with pytest.raises(ArtifactError, match="inside the bundle"):
        read(pauses, "../other/model.cbm")
    assert cloud.seen == []


def test_the_emulators_address_needs_no_scheme_and_gets_no_credentials(
    cloud: Any, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.address)
    cloud.objects = {"models/fraud/1/model.cbm": b"a model"}
    assert read(pauses) == b"a model"
    ((_, headers),) = cloud.seen
    assert "Authorization" not in headers


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 0])
def test_a_passing_trouble_is_waited_out(cloud: Any, pauses: list[float], status: int) -> None:
    """Status 0 hangs up in the middle of the body."""
    cloud.objects = {"models/fraud/1/model.cbm": b"a model"}
    cloud.script = [status, status]
    assert read(pauses) == b"a model"
    assert pauses == [0.5, 1.0]


def test_patience_ends(cloud: Any, pauses: list[float]) -> None:
    cloud.script = [503] * 9
    with pytest.raises(ArtifactError, match=r"cannot read gs://models/fraud/1/model.cbm: .* answered 503"):
        read(pauses)
    assert len(cloud.seen) == 4
    assert pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "credentials were refused"), (403, "permission denied: grant roles/storage.objectViewer"), (302, "302")],
)
def test_a_refusal_is_final_and_says_what_to_do(cloud: Any, pauses: list[float], status: int, message: str) -> None:
    cloud.script = [status]
    with pytest.raises(ArtifactError, match=message) as caught:
        read(pauses)
    assert pauses == []
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("hang_up", [True, False])
def test_no_answer_is_said_with_the_address(
    cloud: Any, pauses: list[float], monkeypatch: pytest.MonkeyPatch, *, hang_up: bool
) -> None:
    cloud.script = [0] * 4
    if not hang_up:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"127.0.0.1:{port}")  # nobody listens there any more
    with pytest.raises(ArtifactError, match=r"cannot read gs://.*: no answer from http://127.0.0.1:\d+ \(.+\)"):
        read(pauses)
    assert len(pauses) == 3


def test_an_emulators_address_that_is_none_is_refused(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://[not-an-address")
    with pytest.raises(ArtifactError, match="no answer from"):
        read(pauses)
