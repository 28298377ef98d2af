"""Where a bundle's bytes come from: a directory, or a prefix in a Google Cloud Storage bucket.

Everything is read into memory. Nothing is ever written, so the service runs on a read-only root.
"""

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from model.errors import ArtifactError


class Location(ABC):
    """A place that holds a bundle's files; as a context manager it lets go of its connections at the end."""

    __slots__ = ()

    @abstractmethod
    def read_optional(self, name: str) -> bytes | None:
        """The file's content, or None when there is no such file.

        Args:
            name: Path inside the bundle, parts separated by "/".

        Raises:
            ArtifactError: The file cannot be read, or `name` leads out of the bundle.
        """

    def read(self, name: str) -> bytes:
        """The file's content.

        Args:
            name: Path inside the bundle, parts separated by "/".

        Raises:
            ArtifactError: There is no such file, it cannot be read, or `name` leads out of the bundle.
        """
        data = self.read_optional(name)
        if data is None:
            raise ArtifactError(f"{self} holds no {name}: check the bundle's address and that {name} was copied there")
        return data

    def close(self) -> None:  # noqa: B027  # most places have nothing to let go of
        """Lets go of connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class DirectoryLocation(Location):
    """A directory of this machine.

    Attributes:
        path: The directory.
    """

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            what = "is a file, name the directory that holds it" if path.exists() else "does not exist"
            raise ArtifactError(f"{path} {what}")
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def read_optional(self, name: str) -> bytes | None:
        """See `Location.read_optional`."""
        path = self.path / check_name(name)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ArtifactError(f"cannot read {path}: {error.strerror}") from error


def open_location(uri: str) -> Location:
    """The place that `uri` names; a bucket is asked for nothing yet.

    Args:
        uri: A directory's path, or `gs://bucket/prefix`.

    Raises:
        ArtifactError: There is no such directory, or the address is of neither kind.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        if not uri:
            raise ArtifactError("the bundle's address is empty: name a directory or gs://bucket/prefix")
        return DirectoryLocation(Path(uri))
    bucket, _, prefix = rest.partition("/")
    if scheme != "gs" or not bucket:
        raise ArtifactError(f"{uri} is neither a directory nor gs://bucket/prefix")
    from model.bucket import BucketLocation  # noqa: PLC0415  # httpx takes 0.1 s, and a directory does not need it

    return BucketLocation(bucket, prefix)


def check_name(name: str) -> PurePosixPath:
    """`name` as a relative path; names come from the bundle's own spec, which must not reach beyond the bundle.

    Raises:
        ArtifactError: It is empty, absolute, or goes up.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise ArtifactError(f"{name!r} is not the name of a file inside the bundle")
    return path


def sha256_digest(data: bytes) -> str:
    """The digest of `data` as `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def verify_digest(data: bytes, expected: str, name: str) -> None:
    """Returns if `data` is what was meant.

    Args:
        data: The file's content.
        expected: 64 hexadecimal digits in either case, with or without `sha256:` before them.
        name: The file's name, for the message.

    Raises:
        ArtifactError: The digest differs.
    """
    wanted = f"sha256:{expected.strip().lower().removeprefix('sha256:')}"
    found = sha256_digest(data)
    if wanted != found:
        raise ArtifactError(
            f"{name} is not the file that the bundle names: expected {wanted}, found {found}; "
            "copy the file again, or correct its sha256"
        )
