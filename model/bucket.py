"""A bundle in a Google Cloud Storage bucket, read through the JSON API.

Google's own storage client would do the same with three more packages. Imported only for a `gs://` address.

Source: cloud.google.com/storage/docs/json_api/v1/objects/get.
"""

import os
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from model.artifact import Location, check_name
from model.errors import ArtifactError
from model.fetching import Fetcher, Unanswered

_HOST: Final = "https://storage.googleapis.com"
_EMULATOR: Final = "STORAGE_EMULATOR_HOST"
"""Address of a storage emulator, as Google's own clients read it: the scheme may be left out, nobody logs in."""

_REFUSED: Final[Mapping[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "the credentials were refused: log in again, or mend the service account's key",
    HTTPStatus.FORBIDDEN: (
        "permission denied: grant roles/storage.objectViewer on the bucket to this service's account "
        "(without the right to list, a missing object is answered so too)"
    ),
}


class BucketLocation(Location):
    """All objects of a bucket whose names begin with a prefix.

    Attributes:
        bucket: The bucket's name.
        prefix: What comes before each name, without slashes at its ends; may be empty.
    """

    __slots__ = ("_fetcher", "_headers", "_host", "_sleep", "bucket", "prefix")

    def __init__(
        self, bucket: str, prefix: str, *, host: str | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Connects to nothing yet.

        Args:
            bucket: The bucket's name.
            prefix: What comes before each name; slashes at its ends are dropped.
            host: Address of the API with its scheme; by default the emulator's if one is set, else Google's.
            sleep: How to wait between attempts.
        """
        emulator = os.environ.get(_EMULATOR, "") if host is None else ""
        if emulator and "://" not in emulator:
            emulator = f"http://{emulator}"
        self._host = (host or emulator or _HOST).rstrip("/")
        self._headers: dict[str, str] | None = {} if emulator else None  # None until the first read logs in
        self._sleep = sleep
        self._fetcher = Fetcher(sleep=sleep)
        self.bucket = bucket
        self.prefix = prefix.strip("/")

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.prefix}".rstrip("/")

    def close(self) -> None:
        """See `Location.close`."""
        self._fetcher.close()

    def read_optional(self, name: str) -> bytes | None:
        """See `Location.read_optional`."""
        path = str(check_name(name))
        # The whole name is one segment of the path: its slashes are quoted too.
        object_name = quote(f"{self.prefix}/{path}" if self.prefix else path, safe="")
        url = f"{self._host}/storage/v1/b/{quote(self.bucket, safe='')}/o/{object_name}?alt=media"
        try:
            answer = self._fetcher.get(url, self._authorization())
        except Unanswered as error:
            raise ArtifactError(f"cannot read {self}/{path}: no answer from {self._host} ({error})") from error
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            problem = _REFUSED.get(answer.status, f"the storage service answered {answer.status}, try again later")
            raise ArtifactError(f"cannot read {self}/{path}: {problem}")
        return answer.data

    def _authorization(self) -> dict[str, str]:
        if self._headers is None:
            from model.credentials import access_token  # noqa: PLC0415  # an emulator needs no google-auth

            self._headers = {"Authorization": f"Bearer {access_token(self._fetcher, sleep=self._sleep)}"}
        return self._headers
