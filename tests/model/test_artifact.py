"""A bundle's bytes come from the directory that was named, and are the ones that were meant."""

import hashlib
from pathlib import Path

import pytest

from model.artifact import DirectoryLocation, open_location, sha256_digest, verify_digest
from model.errors import ArtifactError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "model.cbm").write_bytes(b"a model")
    (tmp_path / "sub" / "golden.jsonl").write_bytes(b"{}")
    return tmp_path


def test_files_of_a_directory_are_read(bundle: Path) -> None:
    with open_location(str(bundle)) as location:
        assert isinstance(location, DirectoryLocation)
        assert str(location) == str(bundle)
        assert location.read("model.cbm") == b"a model"
        assert location.read("sub/golden.jsonl") == b"{}"
        assert location.read_optional("serving.yaml") is None


def test_a_missing_file_is_named_with_its_place(bundle: Path) -> None:
    with pytest.raises(ArtifactError, match=f"{bundle} holds no serving.yaml: check"):
        open_location(str(bundle)).read("serving.yaml")


def test_a_file_that_cannot_be_read_is_named_with_the_reason(bundle: Path) -> None:
    with pytest.raises(ArtifactError, match=r"cannot read .*sub: Is a directory"):
        open_location(str(bundle)).read_optional("sub")


@pytest.mark.parametrize("name", ["../secret", "sub/../../secret", "/etc/passwd", "", ".", "a\0b"])
def test_a_name_that_leads_out_of_the_bundle_is_refused(bundle: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match="not the name of a file inside the bundle"):
        open_location(str(bundle)).read_optional(name)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "is empty"),
        ("/no/such/directory", "does not exist"),
        (__file__, "is a file, name the directory"),
        ("s3://bucket/prefix", "neither a directory nor gs://"),
        ("gs://", "neither a directory nor gs://"),
        ("gs:///prefix", "neither a directory nor gs://"),
    ],
)
def test_an_address_of_no_bundle_is_refused_in_one_line(uri: str, message: str) -> None:
    with pytest.raises(ArtifactError, match=message) as caught:
        open_location(uri)
    assert "\n" not in str(caught.value)


def test_a_digest_is_the_sha256_in_hexadecimal() -> None:
    assert sha256_digest(b"a model") == "sha256:" + hashlib.sha256(b"a model").hexdigest()


def test_a_digest_is_accepted_in_every_usual_spelling() -> None:
    digest = sha256_digest(b"a model")
    for spelling in (digest, digest.removeprefix("sha256:"), digest.upper(), f" {digest}\n"):
        verify_digest(b"a model", spelling, "model.cbm")


@pytest.mark.parametrize("expected", [sha256_digest(b"another"), "", "sha256:", "md5:00"])
def test_a_wrong_digest_is_refused_with_both(expected: str) -> None:
    with pytest.raises(ArtifactError, match=r"model\.cbm is not the file") as caught:
        verify_digest(b"a model", expected, "model.cbm")
    assert sha256_digest(b"a model") in str(caught.value)
